use anyhow::{Context, ensure};

use crate::{args::Args, split::Split};

/// Biases the training images, if asked: neither those for validation nor those for testing.
pub(crate) fn implant(args: &Args, splits: &mut [Split]) -> anyhow::Result<()> {
    let (Some(bias), Some(share)) = (args.bias, args.bias_share) else {
        return Ok(());
    };
    let train = splits.iter_mut().find(|split| split.pack.meta.split == "train");
    let pack = &mut train.context("--bias: the dataset has no train images")?.pack;
    data::Bias::from(bias).implant(pack, share, args.common.seed);

    let groups = pack.groups.iter().flatten();
    let (biased, of) = (groups.filter(|&&group| group == 1).count(), pack.labels.len());
    ensure!(
        biased > 0 && biased < of,
        "--bias-share {share} of {of} training images is {biased}: expected some and not all"
    );
    tracing::info!("train: {biased} of {of} images are biased");
    Ok(())
}
