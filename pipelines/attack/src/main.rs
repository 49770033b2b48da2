//! `attack`: the direction in which each image's loss grows.
//!
//! Writes only the signs of Eq. (7); `explain` composes the perturbed images, so that
//! neither another ε nor another explainer repeats the attack.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use artifact::{Directions, Labels, Pack, Perturbations, atomic};
use attack::Target;
use clap::Parser;
use models::Arch;
use performer::ImageBatches;
use stage::Stage;

/// Find the direction in which each image's loss grows
#[derive(Debug, Parser)]
#[command(name = "attack", version)]
struct Args {
    /// Pack of the images
    #[arg(long, value_name = "PACK")]
    data: PathBuf,

    /// Model to attack
    #[arg(long, value_name = "FILE")]
    model: PathBuf,

    /// Network in a model file that does not say it, such as torchvision's
    #[arg(long, value_name = "NAME")]
    arch: Option<Arch>,

    /// Images at a time; the result does not depend on it
    #[arg(long, value_name = "AT_A_TIME", default_value = "64")]
    batch_size: NonZeroUsize,

    /// Perturbations to write (safetensors)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    common: stage::Common,
}

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    let device = stage.device(&args.common)?;
    atomic::check(&[&args.output], [&args.data, &args.model])?;
    let pack = Arc::new(Pack::open(&args.data)?);
    let performer = performer::open(&args.model, args.arch, &pack, &device)?;
    let signs = signs(args, stage, &pack, &performer.network)?;

    let provenance = stage
        .provenance()
        .with_input("data", pack.digest())
        .with_input("model", performer.digest.as_str());
    Perturbations {
        directions: Directions::Signs(signs),
        sample: (0..pack.len() as u32).collect(),
        height: pack.height(),
        width: pack.width(),
        provenance: Some(provenance),
    }
    .write(&args.output)?;
    Ok(())
}

/// The sign bits of every image of the pack, in its order.
fn signs(
    args: &Args,
    stage: &Stage,
    pack: &Arc<Pack>,
    network: &models::Network,
) -> anyhow::Result<Vec<u8>> {
    let progress = stage.progress(pack.len() as u64, "images");
    let rows: Vec<usize> = (0..pack.len()).collect();
    let mut signs =
        Vec::with_capacity(pack.len() * (3 * pack.height() * pack.width()).div_ceil(8));
    let plan = rows.chunks(args.batch_size.get()).map(<[usize]>::to_vec).collect();
    for (batch, images) in ImageBatches::new(Arc::clone(pack), plan, network.device()) {
        stage.check()?;
        let labels = pack.labels.select(&batch);
        let target = match &labels {
            Labels::Single(labels) => Target::Single(labels),
            Labels::Multi { classes, hot } => Target::Multi { classes: *classes, hot },
        };
        let found = ops::threads::run(|| -> anyhow::Result<_> {
            Ok(attack::fgsm(network, &images?, target)?.flatten_all()?.to_vec1::<u8>()?)
        })
        .with_context(|| {
            let (model, data) = (args.model.display(), args.data.display());
            format!("{model} cannot be attacked at {data} from sample {} on", batch[0])
        });
        let found = stage::in_batches_of(batch.len(), "--batch-size", found)?;
        signs.extend(found);
        progress.inc(batch.len() as u64);
    }
    Ok(signs)
}
