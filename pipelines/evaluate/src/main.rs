//! `evaluate`: how good are a network's predictions, and do its explanations lie on the
//! objects?
//!
//! Writes accuracy (or average precision, of sets of labels) and, where the pack has
//! masks, how the maps of each explainer localise the classes that are there. If asked, also
//! whether the maps name the places that the network uses, whether they depend on what it has
//! learnt, how often the network is right under attack, and whether weights favour the samples
//! without a bias.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::ensure;
use artifact::{Pack, atomic};
use candle_core::Device;
use clap::{Parser, builder::PossibleValuesParser};
use models::Arch;
use stage::Stage;

use crate::{measure::Measuring, references::References};

mod classification;
mod debiasing;
mod faithfulness;
mod localise;
mod measure;
mod perturbed;
mod predicted_maps;
mod references;
mod robustness;
mod sanity;
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

    /// Methods whose maps are measured: against the masks, if the pack has any
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

    /// Change each image along its maps: insertion, deletion, average drop and increase, ROAD
    #[arg(long, requires = "explainers")]
    faithfulness: bool,

    /// Compare the maps with those of the network as its blocks are randomised one by one
    #[arg(long, requires = "explainers")]
    sanity: bool,

    /// Attack the images by FGSM and PGD at several ε: relative accuracy on those that the model and
    /// every reference classify correctly
    #[arg(long)]
    robustness: bool,

    /// Another model to be compared with; may be given several times
    #[arg(long = "reference", value_name = "FILE", requires = "robustness")]
    references: Vec<PathBuf>,

    /// Weights of the pack's samples, whose groups tell the biased ones: share of unbiased samples in
    /// the top 20 %
    #[arg(long, value_name = "FILE")]
    debiasing: Option<PathBuf>,

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
    /// Fails if an output cannot be written, or would replace an input or another output.
    fn check(&self) -> artifact::Result<()> {
        let outputs = [Some(&self.output), self.maps_output.as_ref(), self.pairs.as_ref()];
        let outputs: Vec<_> = outputs.into_iter().flatten().map(PathBuf::as_path).collect();
        let inputs = [&self.data, &self.model].into_iter().chain(&self.references);
        atomic::check(&outputs, inputs.chain(&self.debiasing))
    }
}

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    let device = stage.device(&args.common)?;
    args.check()?;
    let pack = Arc::new(Pack::open(&args.data)?);
    ensure!(
        args.pairs.is_none() || pack.has_masks(),
        "--pairs needs masks, and {} has none",
        args.data.display(),
    );
    if !args.explainers.is_empty() && !pack.has_masks() {
        tracing::info!("{} has no masks: localisation is skipped", args.data.display());
    }
    localise::check_masks(&pack)?;
    let performer = performer::open(&args.model, args.arch, &pack, &device)?;
    let tap = performer.network.resolve_tap(args.tap.as_deref())?;
    let debiased = args.debiasing.as_deref().map(|path| debiasing::measure(path, &pack));
    let debiased = debiased.transpose()?;
    let references = args.robustness.then(|| references(args, stage, &pack, &device));
    let references = references.transpose()?;

    let measuring = Measuring {
        stage,
        pack: &pack,
        network: &performer.network,
        model: &args.model,
        tap: &tap,
        explainers: measure::explainers(&args.explainers, args.batch_size)?,
        predicted_maps: args.maps_output.is_some(),
        batch_size: args.batch_size.get(),
    };
    let measured = measuring.run()?;
    let seed = args.common.seed;
    let (images, flag) = (measuring.batch_size, "--batch-size");
    let faithful = args.faithfulness.then(|| measuring.faithfulness(seed)).transpose();
    let faithful = stage::in_batches_of(images, flag, faithful)?.unwrap_or_default();
    let sanity = args.sanity.then(|| measuring.sanity(seed)).transpose();
    let sanity = stage::in_batches_of(images, flag, sanity)?.unwrap_or_default();
    let robust = references
        .as_ref()
        .map(|references| measuring.robustness(&references.right, &measured.logits));
    let robust = stage::in_batches_of(images, flag, robust.transpose())?;

    let mut provenance = stage
        .provenance()
        .with_input("data", pack.digest())
        .with_input("model", performer.digest.as_str());
    for (role, digest) in references.iter().flat_map(|references| &references.inputs) {
        provenance = provenance.with_input(role, digest.as_str());
    }
    if let Some(debiased) = &debiased {
        provenance = provenance.with_input("weights", debiased.digest.as_str());
    }
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
    for found in &faithful {
        found.report(&mut evaluation);
    }
    for found in &sanity {
        found.report(&mut evaluation);
    }
    if let Some(found) = &robust {
        found.report(&mut evaluation);
    }
    if let Some(found) = &debiased {
        found.report(&mut evaluation);
    }
    evaluation.write(&args.output, &provenance)?;
    stage::print(&summary::Summary(&evaluation))?;
    Ok(())
}

/// What the networks that this one is compared with agree on.
fn references(
    args: &Args,
    stage: &Stage,
    pack: &Pack,
    device: &Device,
) -> anyhow::Result<References> {
    let files = (&args.references[..], args.arch);
    References::judge(stage, files, pack, args.batch_size.get(), device)
}
