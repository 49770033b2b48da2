//! `reweight`: the next round's sample weights.
//!
//! Before the first round every sample weighs 1; after each round the paper's Eq. (4)
//! lets the samples whose explanation moved weigh most.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use artifact::{Pack, Scores, Weights};
use clap::{Parser, ValueEnum};
use stage::Stage;

mod summary;
mod weights;

/// Write the sample weights of the next round of training
#[derive(Debug, Parser)]
#[command(name = "reweight", version)]
struct Args {
    /// How to weigh
    #[arg(long, value_enum)]
    method: Method,

    /// Pack of the images, all to weigh 1 (uniform)
    #[arg(
        long,
        value_name = "PACK",
        required_if_eq("method", "uniform"),
        conflicts_with_all = ["scores", "previous", "floor"]
    )]
    data: Option<PathBuf>,

    /// Table of scores, of `score` (consistency)
    #[arg(long, value_name = "FILE", required_if_eq("method", "consistency"))]
    scores: Option<PathBuf>,

    /// Weights of the last round, from which `selected` is carried over
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,

    /// Weights are FLOOR + (1 - FLOOR) v, with v of Eq. (4); the paper has 0
    #[arg(long, value_name = "FLOOR", default_value_t = 0.0, value_parser = floor)]
    floor: f32,

    /// Table of weights to write (Parquet)
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    common: stage::Common,
}

/// How to weigh.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    /// Every sample weighs 1
    Uniform,
    /// v = 1 - E, the paper's Eq. (4)
    Consistency,
}

fn floor(text: &str) -> Result<f32, String> {
    let expected = "expected a number from 0 to below 1";
    let floor = text.parse().map_err(|_| expected.to_owned())?;
    if (0.0..1.0).contains(&floor) { Ok(floor) } else { Err(expected.to_owned()) }
}

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    args.common.check()?;
    let (weights, provenance) = match args.method {
        Method::Uniform => uniform(args, stage)?,
        Method::Consistency => consistency(args, stage)?,
    };
    weights.write(&args.output, &provenance)?;
    stage::print(&summary::Summary::of(&weights))?;
    Ok(())
}

fn uniform(args: &Args, stage: &Stage) -> anyhow::Result<(Weights, artifact::Provenance)> {
    let path = args.data.as_deref().context("--method uniform needs --data")?;
    let pack = Pack::open(path)?;
    let provenance = stage.provenance().with_input("data", pack.digest());
    Ok((weights::uniform(pack.len()), provenance))
}

fn consistency(
    args: &Args,
    stage: &Stage,
) -> anyhow::Result<(Weights, artifact::Provenance)> {
    let path = args.scores.as_deref().context("--method consistency needs --scores")?;
    let (scores, origin) = Scores::read(path)?;
    check(path, &scores)?;
    let mut provenance = stage
        .provenance()
        .with_input("scores", artifact::digest(path)?)
        .inheriting(origin.as_ref());
    let mut weights = weights::consistency(&scores, args.floor);
    if let Some(previous) = args.previous.as_deref() {
        let (old, old_origin) = Weights::read(previous)?;
        artifact::agree("data", (path, origin.as_ref()), (previous, old_origin.as_ref()))?;
        weights::carry_over(&old, &mut weights)
            .with_context(|| format!("{} and {}", path.display(), previous.display()))?;
        provenance = provenance
            .with_input("previous", artifact::digest(previous)?)
            .inheriting(old_origin.as_ref());
    }
    Ok((weights, provenance))
}

/// Fails over scores that say nothing: Eq. (4) would give weight 1 without a word.
fn check(path: &Path, scores: &Scores) -> anyhow::Result<()> {
    ensure!(!scores.is_empty(), "{}: expected scores, found no rows", path.display());
    let compared = |i: usize| scores.consistency[i].is_some() || scores.status[i] != 0;
    let lacking = (0..scores.len()).find(|&i| scores.correct[i] && !compared(i));
    ensure!(
        lacking.is_none(),
        "{}: expected the consistency of every correctly predicted sample, found none of sample {}; \
         run `score` with --perturbed",
        path.display(),
        scores.sample[lacking.unwrap_or(0)],
    );
    Ok(())
}
