//! Where a round begins: nowhere, at a model file, or at the end of the round before.

use std::path::Path;

use anyhow::{Context, ensure};
use artifact::{ModelFile, ModelMeta, OptimizerFile, Pack};
use candle_core::Device;
use models::{Head, Network, Normalization};

use crate::{args::Args, learner::Learner, optimizer::Optimizer, samples::check_origin};

/// The learner of a round that has not begun, and what it was made from.
pub(crate) struct Start {
    pub(crate) learner: Learner,
    /// Rounds before this one.
    pub(crate) rounds: u32,
    /// Roles and digests of the files it was read from.
    pub(crate) inputs: Vec<(&'static str, String)>,
}

impl Start {
    /// Opens what the flags say to start from, on a device.
    pub(crate) fn open(args: &Args, pack: &Pack, device: &Device) -> anyhow::Result<Self> {
        match (&args.previous, &args.init) {
            (Some(dir), _) => Self::previous(args, pack, dir, device),
            (None, Some(path)) => Self::init(args, pack, path, device),
            (None, None) => {
                let normalization = args.normalization(None);
                let seed = args.common.seed;
                let network = Network::new(args.arch, pack.classes(), normalization, seed)?;
                Self::fresh(args, network.to_device(device)?, Vec::new())
            }
        }
    }

    fn fresh(
        args: &Args,
        network: Network,
        inputs: Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let optimizer = Optimizer::new(args.recipe.clone(), network.parameters())?;
        Ok(Self { learner: Learner { network, optimizer, epoch: 0 }, rounds: 0, inputs })
    }

    fn init(
        args: &Args,
        pack: &Pack,
        path: &Path,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let file = ModelFile::read(path)?;
        let of_file = file.meta.as_ref().map(normalization);
        if let Some(meta) = &file.meta {
            check_arch(args, path, meta)?;
            if !args.fresh_head {
                check_classes(path, meta, pack)
                    .context("give --fresh-head to learn other classes")?;
            }
        }
        let head = if args.fresh_head {
            Head::Fresh { seed: args.common.seed }
        } else {
            Head::Keep
        };
        let normalization = args.normalization(of_file);
        let network =
            Network::load(args.arch, pack.classes(), normalization, &file.tensors, head)
                .with_context(|| format!("{} does not fit", path.display()))?;
        let network = network.to_device(device)?;
        Self::fresh(args, network, vec![("init", artifact::digest(path)?)])
    }

    fn previous(
        args: &Args,
        pack: &Pack,
        dir: &Path,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let path = dir.join("model.safetensors");
        let file = ModelFile::read(&path)?;
        let meta = file.meta.as_ref().with_context(|| {
            format!("{} does not say what it is; give it as --init", path.display())
        })?;
        check_arch(args, &path, meta)?;
        check_classes(&path, meta, pack)?;
        check_origin(&path, file.provenance.as_ref(), pack)?;
        let normalization = args.normalization(Some(normalization(meta)));
        ensure!(
            (normalization.mean, normalization.std) == (meta.mean, meta.std),
            "{} was trained with mean {:?} and std {:?}, the flags say {:?} and {:?}",
            path.display(),
            meta.mean,
            meta.std,
            normalization.mean,
            normalization.std,
        );
        let size = [pack.height(), pack.width()];
        ensure!(
            meta.image_size == size,
            "{} was trained on images of {:?}, those of {} are of {size:?}",
            path.display(),
            meta.image_size,
            pack.path.display(),
        );
        let network = Network::load(
            args.arch,
            pack.classes(),
            normalization,
            &file.tensors,
            Head::Keep,
        )
        .with_context(|| format!("{} does not fit", path.display()))?
        .to_device(device)?;

        let beside = dir.join("optimizer.safetensors");
        let state = OptimizerFile::read(&beside)?;
        check_origin(&beside, state.provenance.as_ref(), pack)?;
        ensure!(
            file.provenance == state.provenance && meta.epoch == state.state.epoch,
            "{} (epoch {}) and {} (epoch {}) are not of the same run",
            path.display(),
            meta.epoch,
            beside.display(),
            state.state.epoch,
        );
        let optimizer = restored(args, &network, &state)
            .with_context(|| beside.display().to_string())?;
        Ok(Self {
            learner: Learner { network, optimizer, epoch: meta.epoch },
            rounds: meta.round,
            inputs: vec![
                ("previous", artifact::digest(&path)?),
                ("previous_optimizer", artifact::digest(&beside)?),
            ],
        })
    }
}

fn restored(
    args: &Args,
    network: &Network,
    file: &OptimizerFile,
) -> anyhow::Result<Optimizer> {
    let recipe = args.recipe.clone();
    let (parameters, step) = (network.parameters(), file.state.step);
    let expected = recipe.optimizer.name();
    ensure!(
        file.state.algorithm == expected,
        "it is the state of {}, --optimizer is {expected}",
        file.state.algorithm,
    );
    Optimizer::restore(recipe, parameters, step, &file.tensors)
}

fn normalization(meta: &ModelMeta) -> Normalization {
    Normalization { mean: meta.mean, std: meta.std }
}

fn check_arch(args: &Args, path: &Path, meta: &ModelMeta) -> anyhow::Result<()> {
    ensure!(
        meta.arch.parse().ok() == Some(args.arch),
        "{} is a {}, but --arch is {}, to be trained on {}",
        path.display(),
        meta.arch,
        args.arch,
        args.data.display(),
    );
    Ok(())
}

fn check_classes(path: &Path, meta: &ModelMeta, pack: &Pack) -> anyhow::Result<()> {
    let labels = meta.labels.unwrap_or(pack.meta.labels);
    ensure!(
        meta.classes == pack.meta.classes && labels == pack.meta.labels,
        "{} knows {} ({labels} label), {} has {} ({} label)",
        path.display(),
        listed(&meta.classes),
        pack.path.display(),
        listed(&pack.meta.classes),
        pack.meta.labels,
    );
    Ok(())
}

/// The number of classes and the first few.
fn listed(classes: &[String]) -> String {
    let first: Vec<&str> = classes.iter().take(5).map(String::as_str).collect();
    let more = if classes.len() > first.len() { ", …" } else { "" };
    format!("{} classes ({}{more})", classes.len(), first.join(", "))
}
