//! `explain`: where in each image does the network see the class?
//!
//! Writes the maps g(f(x)) of a pack's images. With maps and perturbations it composes the
//! semantic-preserved adversarial images x̂ of Eq. (1) and writes their maps g(f(x̂)).
//! On request it draws maps over their images; of an image file it only does that.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, ensure};
use artifact::{MapsMeta, Pack, atomic};
use attack::EpsilonUnit;
use clap::{
    Parser,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use explain::{Smooth, TargetKind};
use models::Arch;
use stage::Stage;

use crate::{attacked::Attacked, overlay::Overlays, picture_args::PictureArgs, run::Job};

mod attacked;
mod cost;
mod maps;
mod overlay;
mod picture_args;
mod picture_file;
mod prediction;
mod run;
mod samples;

/// Explain where in each image the network sees the class
#[derive(Debug, Parser)]
#[command(name = "explain", version)]
struct Args {
    /// Pack of the images
    #[arg(long, value_name = "PACK", required_unless_present = "image")]
    data: Option<PathBuf>,

    /// Model to explain
    #[arg(long, value_name = "FILE")]
    model: PathBuf,

    /// Network in a model file that does not say it, such as torchvision's
    #[arg(long, value_name = "NAME")]
    arch: Option<Arch>,

    /// Method
    #[arg(
        long,
        value_name = "NAME",
        default_value = "grad-cam",
        value_parser = PossibleValuesParser::new(methods())
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
    /// labels (a map for each of a set), or a class's name
    #[arg(long, value_name = "CLASS", default_value = "predicted")]
    target: String,

    /// Maps of the clean images, by this model: explain the perturbed images instead
    #[arg(long, value_name = "FILE", requires_all = ["perturbations", "epsilon"])]
    maps: Option<PathBuf>,

    /// Directions in which the images are perturbed, of `attack`
    #[arg(long, value_name = "FILE", requires_all = ["maps", "epsilon"])]
    perturbations: Option<PathBuf>,

    /// How far each pixel is pushed, ε of Eq. (7)
    #[arg(
        long,
        value_name = "E",
        requires_all = ["maps", "perturbations"],
        value_parser = epsilon
    )]
    epsilon: Option<f64>,

    /// What ε is measured in: pixels in [0, 1], or the network's normalised input [default: pixel]
    #[arg(
        long,
        value_name = "UNIT",
        requires = "epsilon",
        value_parser = PossibleValuesParser::new(["pixel", "normalized"])
            .try_map(|unit| unit.parse::<EpsilonUnit>())
    )]
    epsilon_unit: Option<EpsilonUnit>,

    /// Images at a time; the result does not depend on it
    #[arg(long, value_name = "AT_A_TIME", default_value = "64")]
    batch_size: NonZeroUsize,

    /// Print how many passes through the network this takes, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Maps to write (safetensors)
    #[arg(long, value_name = "FILE", required_unless_present_any = ["overlay", "dry_run"])]
    output: Option<PathBuf>,

    #[command(flatten)]
    pictures: PictureArgs,

    #[command(flatten)]
    common: stage::Common,
}

/// The methods' names, and what each costs.
fn methods() -> impl IntoIterator<Item = PossibleValue> {
    explain::METHODS.map(|(name, passes)| PossibleValue::new(name).help(passes))
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
    if let Some(image) = &args.pictures.image {
        return picture_file::run(args, image, &device);
    }
    let output = args.output.as_deref();
    let more = [&args.data, &args.maps, &args.perturbations].into_iter().flatten();
    atomic::check(output.as_slice(), more.chain([&args.model]))?;
    let pack = Arc::new(Pack::open(args.data.as_ref().context("no --data")?)?);
    let overlays = Overlays::new(&args.pictures, &pack)?;
    // none: a map for every label
    let target = if args.target == "labels" {
        ensure!(
            args.maps.is_none() && overlays.is_none(),
            "--target labels makes several maps a sample, which neither --maps nor --overlay \
             can take: name a class, or leave it out"
        );
        None
    } else {
        Some(TargetKind::of(&args.target, &pack.meta.classes)?)
    };
    let performer = performer::open(&args.model, args.arch, &pack, &device)?;
    let tap = performer.network.resolve_tap(args.tap.as_deref())?;
    let (smooth, at_a_time) = (args.smooth, args.batch_size);
    let explainer = explain::by_name(&args.explainer, smooth, at_a_time)?;

    let mut meta = MapsMeta {
        explainer: args.explainer.clone(),
        tap: tap.name().to_owned(),
        smooth: smooth.map(|smooth| smooth.to_string()),
        image_size: [pack.height(), pack.width()],
        target: args.target.clone(),
        epsilon: None,
        epsilon_unit: None,
    };
    let mut provenance = overlay::without_pictures(stage.provenance())
        .with_input("data", pack.digest())
        .with_input("model", performer.digest.as_str());
    let mut attacked = match (&args.maps, &args.perturbations, args.epsilon) {
        (Some(maps), Some(perturbations), Some(epsilon)) => {
            let of = attacked::Of {
                pack: &pack,
                model: (&args.model, &performer.digest),
                meta: &meta,
            };
            let unit = args.epsilon_unit.unwrap_or_default();
            let steps = attack::step(epsilon as f32, unit, performer.meta.std);
            let attacked = Attacked::open(maps, perturbations, steps, &of)?;
            meta.epsilon = Some(epsilon);
            meta.epsilon_unit = Some(unit.to_string());
            provenance = provenance
                .with_input("maps", artifact::digest(maps)?)
                .with_input("perturbations", artifact::digest(perturbations)?);
            Some(attacked)
        }
        _ => None,
    };

    let job = Job {
        stage,
        pack: &pack,
        network: &performer.network,
        tap: &tap,
        explainer: explainer.as_ref(),
        batch_size: at_a_time.get(),
    };
    // nobody reads the maps of the others
    let only = overlays.as_ref().filter(|_| args.output.is_none()).map(Overlays::samples);
    if let Some(attacked) = &mut attacked {
        attacked.only(only);
    }
    if args.dry_run {
        let maps = match (&attacked, target, only) {
            (Some(attacked), ..) => attacked.len(),
            (None, None, _) => job.pairs().len(),
            (None, Some(_), only) => only.map_or(pack.len(), <[usize]>::len),
        };
        stage::print(&job.cost(maps)?)?;
        return Ok(());
    }
    if let Some(overlays) = &overlays {
        overlays.make_folder()?;
    }
    let maps = match (&attacked, target) {
        (Some(attacked), Some(target)) => job.attacked(attacked, target)?,
        (None, Some(target)) => job.clean(only, target)?,
        (_, None) => job.every_label()?,
    };
    maps.say(&meta);
    let maps = maps.into_artifact(meta, &pack, provenance);
    if let Some(output) = &args.output {
        maps.write(output)?;
    }
    if let Some(overlays) = overlays {
        overlays.write(stage, &maps, |row| match &attacked {
            Some(attacked) => attacked.bytes(&pack, row),
            None => Ok(pack.image(maps.sample[row] as usize).to_vec()),
        })?;
    }
    Ok(())
}
