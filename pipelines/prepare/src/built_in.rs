use anyhow::ensure;
use data::shapes;
use stage::Stage;

use crate::{args::Args, split::Split};

/// Draws the built-in shapes. The validation images are further ones, without the bias of
/// the training images, just as the test images.
pub(crate) fn splits(args: &Args, stage: &Stage) -> anyhow::Result<Vec<Split>> {
    ensure!(
        args.size.is_none_or(|size| usize::from(size) == shapes::SIZE),
        "shapes are drawn at --size {} only",
        shapes::SIZE
    );
    let train = args.count.unwrap_or(2000) as usize;
    let mut counts = Vec::new();
    if let Some(fraction) = args.validation {
        let count = (fraction * train as f64).round() as usize;
        ensure!(count > 0, "--validation {fraction} of {train} images is none");
        counts.push(("validation", count));
    }
    counts.push(("test", args.test_count.unwrap_or(1000) as usize));
    counts.push(("train", train));

    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let progress = stage.progress(total as u64, "drawing");
    let mut splits = Vec::new();
    for (split, count) in counts {
        stage.check()?;
        let seed = args.common.seed;
        let pack = shapes::generate(count, split, seed, &|done| progress.inc(done as u64));
        let sources = (0..count).map(|i| format!("shapes/{split}/{i}")).collect();
        splits.push(Split { pack, sources });
    }
    Ok(splits)
}
