//! `select`: which samples are labelled for the next round of training?
//!
//! Section IV-E of the paper begins with few labels and adds some in each round. No strategy
//! reads a label: which samples get one is decided by what a model makes of the images.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};
use artifact::{LabelKind, Pack, Provenance, Scores, atomic};
use clap::{CommandFactory, error::ErrorKind};
use consistency::selection;
use stage::Stage;

use crate::{
    args::{Args, Strategy},
    choice::Choice,
    judge::Judge,
};

mod args;
mod choice;
mod judge;
mod strategy;

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> Result<()> {
    if let Some(mistake) = args.mistake() {
        Args::command().error(ErrorKind::ArgumentConflict, mistake).exit();
    }
    args.common.check()?;
    let more = [&args.previous, &args.scores, &args.model].into_iter().flatten();
    atomic::check(&[&args.output], more.chain([&args.data]))?;
    let pack = Pack::open(&args.data)?;
    let (choice, provenance) = match &args.previous {
        None => (first(args, &pack), stage.provenance()),
        Some(previous) => later(args, previous, &pack, stage)?,
    };
    let provenance = provenance.with_input("data", pack.digest());
    choice.weights().write(&args.output, &provenance)?;
    stage::print(&choice)?;
    Ok(())
}

/// The samples of the first round, the same by every strategy but `all`.
fn first(args: &Args, pack: &Pack) -> Choice {
    let mut choice = Choice::new(pack);
    let count = args.initial.map_or(pack.len(), |share| choice.count(share));
    choice.added = strategy::random(choice.labelled(), count, args.common.seed);
    choice
}

/// Those of a later round, and what they were chosen by.
fn later(
    args: &Args,
    previous: &Path,
    pack: &Pack,
    stage: &Stage,
) -> Result<(Choice, Provenance)> {
    let mut choice = Choice::read(previous, pack)?;
    let before = artifact::digest(previous)?;
    let samples = choice.unlabelled();
    let count = args.share.map_or(samples.len(), |share| choice.count(share));
    let mut input = None;
    match args.strategy {
        Strategy::All => choice.added = samples,
        Strategy::Random => {
            choice.added = strategy::random(choice.labelled(), count, args.common.seed);
        }
        Strategy::Consistency => {
            let path = args.scores.as_deref().context("no --scores")?;
            let (scores, origin) = Scores::read(path)?;
            let of_pack = (pack.path.as_path(), pack.digest());
            artifact::made_from("data", (path, origin.as_ref()), of_pack)?;
            choice.added = strategy::inconsistent(&samples, (path, &scores), count)?;
            input = Some(("scores", artifact::digest(path)?, origin));
        }
        Strategy::Coreset => {
            let judge = Judge::open(args, pack, stage)?;
            let features = judge.features()?;
            choice.added = selection::coreset(&features, choice.labelled(), count);
            input = Some(("model", judge.digest().to_owned(), None));
        }
        Strategy::Uncertainty | Strategy::Ceal => {
            ensure!(
                pack.labels.kind() == LabelKind::Single,
                "{}: a prediction's uncertainty needs one label an image, found sets of them; \
                 take --strategy random, coreset or all",
                pack.path.display(),
            );
            let judge = Judge::open(args, pack, stage)?;
            let logits = judge.logits(&samples)?;
            let logits: Vec<&[f32]> = logits.chunks_exact(pack.classes()).collect();
            let measure = args.measure.context("no --measure")?;
            choice.added = strategy::uncertain(&samples, &logits, measure, count);
            if let Some((threshold, added)) = threshold(args).zip(Some(&choice.added)) {
                choice.pseudo_labelled =
                    strategy::certain(&samples, &logits, added, threshold);
            }
            input = Some(("model", judge.digest().to_owned(), None));
        }
    }
    // only now does the stage know whether a GPU has computed
    let mut provenance = stage.provenance().with_input("previous", before);
    if let Some((role, digest, origin)) = input {
        provenance = provenance.with_input(role, digest).inheriting(origin.as_ref());
    }
    Ok((choice, provenance))
}

/// The entropy below which CEAL takes a prediction for the label.
fn threshold(args: &Args) -> Option<f64> {
    let (delta, decay) = args.delta.zip(args.delta_decay)?;
    args.round.map(|round| selection::threshold(delta, decay, round))
}
