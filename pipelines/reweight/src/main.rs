//! `reweight`: the next round's sample weights.
//!
//! Before the first round every sample weighs 1; after each round the paper's Eq. (4)
//! lets the samples whose explanation moved weigh most. Its rivals, and what is left of it
//! without one of its parts, are methods too.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, ensure};
use artifact::{Pack, Scores, Weights, atomic};
use stage::Stage;

use crate::args::{Args, Method};

mod args;
mod summary;
mod weights;

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    args.common.check()?;
    args.check()?;
    let inputs = [&args.data, &args.scores, &args.previous].into_iter().flatten();
    atomic::check(&[&args.output], inputs)?;
    let (weights, provenance) = match args.method {
        Method::Uniform => uniform(args, stage)?,
        _ => scored(args, stage)?,
    };
    weights.write(&args.output, &provenance)?;
    stage::print(&summary::Summary::of(&weights))?;
    Ok(())
}

fn uniform(args: &Args, stage: &Stage) -> anyhow::Result<(Weights, artifact::Provenance)> {
    let path = args.data.as_deref().context("no --data")?;
    let pack = Pack::open(path)?;
    let provenance = stage.provenance().with_input("data", pack.digest());
    let samples = (0..pack.len() as u32).collect();
    Ok((weights::table(samples, vec![1.0; pack.len()]), provenance))
}

fn scored(args: &Args, stage: &Stage) -> anyhow::Result<(Weights, artifact::Provenance)> {
    let path = args.scores.as_deref().context("no --scores")?;
    let (scores, origin) = Scores::read(path)?;
    check(args.method, path, &scores)?;
    let mut provenance = stage
        .provenance()
        .with_input("scores", artifact::digest(path)?)
        .inheriting(origin.as_ref());
    let mut weights = weights::table(scores.sample.clone(), weights::of(args, &scores));
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
fn check(method: Method, path: &Path, scores: &Scores) -> anyhow::Result<()> {
    ensure!(!scores.is_empty(), "{}: expected scores, found no rows", path.display());
    let compared = |i: usize| scores.consistency[i].is_some() || scores.status[i] != 0;
    let lacking =
        (0..scores.len()).find(|&i| method.compares() && scores.correct[i] && !compared(i));
    ensure!(
        lacking.is_none(),
        "{}: expected the consistency of every correctly predicted sample, found none of sample {}; \
         run `score` with --perturbed",
        path.display(),
        scores.sample[lacking.unwrap_or(0)],
    );
    Ok(())
}
