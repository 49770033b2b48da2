//! `score`: how far does each image's explanation move?
//!
//! Reads the maps of the clean images and of their perturbed versions, writes the table
//! of distances, inconsistencies and consistencies, Eq. (2) and (3), and prints how they
//! are distributed.

use std::{path::PathBuf, process::ExitCode};

use artifact::{Maps, Scores, atomic};
use clap::Parser;
use consistency::{Psi, Reduction};
use scores::{Perturbed, Summary};
use stage::Stage;

mod join;

/// Score how far each image's explanation moves under the attack
#[derive(Debug, Parser)]
#[command(name = "score", version)]
struct Args {
    /// Maps of the clean images, of `explain` (safetensors)
    #[arg(long, value_name = "FILE")]
    clean: PathBuf,

    /// Maps of the perturbed images, at least of the correctly predicted ones; without
    /// them the table says only how the clean images are predicted
    #[arg(long, value_name = "FILE")]
    perturbed: Option<PathBuf>,

    /// From a distance to [0, 1], ψ of Eq. (3): tanh, softsign or arctan
    #[arg(long, value_name = "PSI", default_value_t)]
    psi: Psi,

    /// Where the norm of Eq. (3) is taken: grid (sum over the map as it is made), sum or
    /// mean (over the image's pixels)
    #[arg(long, value_name = "REDUCTION", default_value_t)]
    reduction: Reduction,

    /// Table of scores to write (Parquet)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    common: stage::Common,
}

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    args.common.check()?;
    atomic::check(&[&args.output], [&args.clean].into_iter().chain(&args.perturbed))?;
    let clean = Maps::read(&args.clean)?;
    let digest = artifact::digest(&args.clean)?;
    let mut provenance = stage
        .provenance()
        .with_input("clean", digest.as_str())
        .inheriting(clean.provenance.as_ref());
    join::check_clean(&args.clean, &clean)?;

    let perturbed = args.perturbed.as_deref().map(Maps::read).transpose()?;
    let joined = match (args.perturbed.as_deref(), &perturbed) {
        (Some(path), Some(perturbed)) => {
            provenance = provenance
                .with_input("perturbed", artifact::digest(path)?)
                .inheriting(perturbed.provenance.as_ref());
            Some(join::join((&args.clean, &clean, &digest), (path, perturbed))?)
        }
        _ => None,
    };

    let judged = judge(args, &clean, joined.as_ref(), stage)?;
    judged.write(&args.output, &provenance)?;
    stage::print(&Summary::of(&judged))?;
    if joined.is_some() {
        scores::warn_if_equal(&judged);
    }
    Ok(())
}

/// Rows between two looks at the clock and the keyboard.
const CHUNK: usize = 256;

/// Judges every clean sample, in the order of the clean maps.
fn judge(
    args: &Args,
    clean: &Maps,
    perturbed: Option<&Perturbed<'_>>,
    stage: &Stage,
) -> anyhow::Result<Scores> {
    let progress = stage.progress(clean.len() as u64, "samples");
    let mut judged = Scores::default();
    for first in (0..clean.len()).step_by(CHUNK) {
        stage.check()?;
        let rows = first..clean.len().min(first + CHUNK);
        progress.inc(rows.len() as u64);
        judged.append(scores::table(clean, perturbed, rows, args.psi, args.reduction));
    }
    Ok(judged)
}
