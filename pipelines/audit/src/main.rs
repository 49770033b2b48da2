//! `audit`: how far does each image's explanation move under the attack?
//!
//! `attack`, `explain` twice and `score` in one, without the files between them: a batch
//! goes through the network once for its predictions, its maps and the gradient by its
//! pixels, and only its correctly predicted images go through it again, perturbed. The rows
//! are those of the four stages, bit for bit.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use artifact::{MapsMeta, Pack};
use attack::EpsilonUnit;
use clap::{
    Parser,
    builder::{PossibleValuesParser, TypedValueParser},
};
use consistency::{Psi, Reduction};
use explain::{Smooth, TargetKind};
use models::Arch;
use scores::Summary;
use stage::Stage;

use crate::audit::Audit;

mod audit;
mod labels;
mod perturb;

/// Attack, explain and score in one: how far each image's explanation moves
///
/// The table's rows are those of attack, explain and score one after the other, bit for bit.
/// Only the correctly predicted images are attacked: where attack stops at any image whose
/// gradient is not finite, this does at a correctly predicted one.
#[derive(Debug, Parser)]
#[command(name = "audit", version)]
struct Args {
    /// Pack of the images
    #[arg(long, value_name = "PACK")]
    data: PathBuf,

    /// Model to audit
    #[arg(long, value_name = "FILE")]
    model: PathBuf,

    /// Network in a model file that does not say it, such as torchvision's
    #[arg(long, value_name = "NAME")]
    arch: Option<Arch>,

    /// Weights whose samples that are not selected, or have a pseudo label, count as unlabelled:
    /// what the model predicts of them is taken for their label, so that all of them are
    /// attacked and compared
    #[arg(long, value_name = "FILE")]
    unlabelled: Option<PathBuf>,

    /// Method of explanation
    #[arg(
        long,
        value_name = "NAME",
        default_value = "grad-cam",
        value_parser = PossibleValuesParser::new(explain::METHODS.map(|(name, _)| name))
    )]
    explainer: String,

    /// Layer whose output is explained; by default the network's last one with places
    #[arg(long, value_name = "NAME")]
    tap: Option<String>,

    /// Mean over mirrored, darker and brighter copies of the image, or first principal
    /// component of the channels
    #[arg(
        long,
        value_name = "HOW",
        value_parser = PossibleValuesParser::new(Smooth::NAMES)
            .try_map(|how| how.parse::<Smooth>())
    )]
    smooth: Option<Smooth>,

    /// Class that is explained: predicted, label (of a set the one of the highest confidence),
    /// or a class's name
    #[arg(long, value_name = "CLASS", default_value = "predicted")]
    target: String,

    /// How far each pixel is pushed, ε of Eq. (7)
    #[arg(long, value_name = "E", value_parser = epsilon)]
    epsilon: f64,

    /// What ε is measured in: pixels in [0, 1], or the network's normalised input
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "pixel",
        value_parser = PossibleValuesParser::new(["pixel", "normalized"])
            .try_map(|unit| unit.parse::<EpsilonUnit>())
    )]
    epsilon_unit: EpsilonUnit,

    /// From a distance to [0, 1], ψ of Eq. (3): tanh, softsign or arctan
    #[arg(long, value_name = "PSI", default_value_t)]
    psi: Psi,

    /// Where the norm of Eq. (3) is taken: grid (sum over the map as it is made), sum or
    /// mean (over the image's pixels)
    #[arg(long, value_name = "REDUCTION", default_value_t)]
    reduction: Reduction,

    /// Images at a time; the result does not depend on it
    #[arg(long, value_name = "AT_A_TIME", default_value = "64")]
    batch_size: NonZeroUsize,

    /// Table of scores to write (Parquet)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    common: stage::Common,
}

fn epsilon(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(epsilon) if epsilon.is_finite() && epsilon >= 0.0 => Ok(epsilon),
        _ => Err("expected a number that is finite and at least 0".to_owned()),
    }
}

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    let device = stage.device(&args.common)?;
    let pack = Pack::open(&args.data)?;
    let labelled = match &args.unlabelled {
        Some(path) => labels::labelled(path, &pack)?,
        None => vec![true; pack.len()],
    };
    let performer = performer::open(&args.model, args.arch, &pack, &device)?;
    let tap = performer.network.resolve_tap(args.tap.as_deref())?;
    let (smooth, at_a_time) = (args.smooth, args.batch_size);
    let explainer = explain::by_name(&args.explainer, smooth, at_a_time)?;

    let audit = Audit {
        pack: &pack,
        labelled,
        model: &args.model,
        network: &performer.network,
        tap: &tap,
        explainer: explainer.as_ref(),
        target: TargetKind::of(&args.target, &pack.meta.classes)?,
        step: attack::step(args.epsilon as f32, args.epsilon_unit, performer.meta.std),
        psi: args.psi,
        reduction: args.reduction,
        meta: MapsMeta {
            explainer: args.explainer.clone(),
            tap: tap.name().to_owned(),
            smooth: smooth.map(|smooth| smooth.to_string()),
            image_size: [pack.height(), pack.width()],
            target: args.target.clone(),
            epsilon: None,
            epsilon_unit: None,
        },
    };
    let judged = audit.run(at_a_time.get(), stage)?;

    let mut provenance = stage
        .provenance()
        .with_input("data", pack.digest())
        .with_input("model", performer.digest.as_str());
    if let Some(path) = &args.unlabelled {
        provenance = provenance.with_input("unlabelled", artifact::digest(path)?);
    }
    judged.write(&args.output, &provenance)?;
    if args.unlabelled.is_some() {
        let unlabelled = audit.labelled.iter().filter(|&&labelled| !labelled).count();
        stage::print(&format_args!("unlabelled {unlabelled:>8}  counted as correct\n"))?;
    }
    stage::print(&Summary::of(&judged))?;
    scores::warn_if_equal(&judged);
    Ok(())
}
