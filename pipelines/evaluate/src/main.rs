//! `evaluate`: how good are a network's predictions, and do its explanations lie on the
//! objects?
//!
//! Writes accuracy (or average precision, of sets of labels) and, where the pack has
//! masks, how the maps of each explainer localise the classes that are there.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use anyhow::ensure;
use artifact::Pack;
use clap::{Parser, builder::PossibleValuesParser};
use models::Arch;
use stage::Stage;

use crate::measure::Measuring;

mod classification;
mod localise;
mod measure;
mod predicted_maps;
mod summary;

/// Evaluate a network's predictions and explanations
#[derive(Debug, Parser)]
#[command(name = "evaluate", version)]
struct Args {
    /// Pack of the test images
    #[arg(long, value_name = "PACK")]
    data: PathBuf,

    /// Model to evaluate
    #[arg(long, value_name = "FILE")]
    model: PathBuf,

    /// Network in a model file that does not say it, such as torchvision's
    #[arg(long, value_name = "NAME")]
    arch: Option<Arch>,

    /// Methods whose maps are compared with the masks, if the pack has any
    #[arg(
        long = "explainer",
        value_name = "NAME",
        num_args = 1..,
        value_parser = PossibleValuesParser::new(explain::METHODS.map(|(name, _)| name))
    )]
    explainers: Vec<String>,

    /// Layer whose output is explained; by default the network's last one with places
    #[arg(long, value_name = "NAME", requires = "explainers")]
    tap: Option<String>,

    /// Maps of the predicted classes to write, by the first explainer (safetensors)
    #[arg(long, value_name = "FILE", requires = "explainers")]
    maps_output: Option<PathBuf>,

    /// Table to write of each image and class in its mask, by the first explainer (Parquet)
    #[arg(long, value_name = "FILE", requires = "explainers")]
    pairs: Option<PathBuf>,

    /// Images at a time; the result does not depend on it
    #[arg(long, value_name = "AT_A_TIME", default_value = "64")]
    batch_size: NonZeroUsize,

    /// Table of measures to write (Parquet)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    common: stage::Common,
}

impl Args {
    /// Fails if two outputs are one file.
    fn check(&self) -> anyhow::Result<()> {
        let outputs = [Some(&self.output), self.maps_output.as_ref(), self.pairs.as_ref()];
        let outputs: Vec<_> = outputs.into_iter().flatten().collect();
        for (i, path) in outputs.iter().enumerate() {
            ensure!(
                !outputs[..i].contains(path),
                "--output, --maps-output and --pairs are three files, but {} is two of them",
                path.display(),
            );
        }
        Ok(())
    }
}

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    args.common.device()?;
    args.check()?;
    let pack = Pack::open(&args.data)?;
    ensure!(
        args.pairs.is_none() || pack.has_masks(),
        "--pairs needs masks, and {} has none",
        args.data.display(),
    );
    if !args.explainers.is_empty() && !pack.has_masks() {
        tracing::info!("{} has no masks: localisation is skipped", args.data.display());
    }
    localise::check_masks(&pack)?;
    let performer = performer::open(&args.model, args.arch, &pack)?;
    let tap = performer.network.resolve_tap(args.tap.as_deref())?;

    let measured = Measuring {
        stage,
        pack: &pack,
        network: &performer.network,
        model: &args.model,
        tap: &tap,
        explainers: measure::explainers(&args.explainers, args.batch_size.get())?,
        predicted_maps: args.maps_output.is_some(),
        batch_size: args.batch_size.get(),
    }
    .run()?;

    let provenance = stage
        .provenance()
        .with_input("data", pack.digest())
        .with_input("model", performer.digest.as_str());
    if let (Some(path), Some(maps)) = (&args.maps_output, measured.maps) {
        maps.into_artifact(&pack, tap.name(), &measured.logits, provenance.clone())
            .write(path)?;
    }
    if let (Some(path), Some(found)) = (&args.pairs, measured.localised.first()) {
        found.pairs(&pack).write(path, &provenance)?;
    }
    let mut evaluation = classification::measure(&pack, &measured.logits);
    for found in &measured.localised {
        found.report(&pack, &mut evaluation);
    }
    evaluation.write(&args.output, &provenance)?;
    stage::print(&summary::Summary(&evaluation))?;
    Ok(())
}
