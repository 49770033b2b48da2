//! What a run left in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use artifact::{Evaluation, Maps, Pack, Provenance, Scores, Weights, made_from};

use crate::args::Args;

/// A run and the one it is compared with.
pub(crate) struct Run {
    pub folder: PathBuf,
    pub baseline: Option<PathBuf>,
    /// In order, from round 1.
    pub rounds: Vec<Round>,
}

/// One round of reweighting.
pub(crate) struct Round {
    pub number: u32,
    pub evaluation: Evaluation,
    pub baseline: Option<Evaluation>,
    pub scores: Scores,
    /// Whether the maps in the round's folder, if there are any, are what was scored.
    ///
    /// `audit` scores without files of maps; those that lie there are of an earlier run.
    pub scored_from_files: bool,
    /// What the round was trained with.
    pub weights: Weights,
}

impl Run {
    /// The folder's own name, wherever it lies.
    pub(crate) fn name(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        folder
            .file_name()
            .map_or_else(|| "run".into(), |name| name.to_string_lossy().into())
    }

    /// The folder of the last round.
    pub(crate) fn last(&self) -> PathBuf {
        self.folder.join(self.rounds.len().to_string())
    }

    /// The folder of the baseline's last round.
    pub(crate) fn last_of_baseline(&self) -> Option<PathBuf> {
        Some(self.baseline.as_ref()?.join(self.rounds.len().to_string()))
    }

    /// The explainer whose localisation is shown: the first that was evaluated.
    pub(crate) fn explainer(&self) -> Option<&str> {
        let evaluation = &self.rounds.last()?.evaluation;
        let at = evaluation.metric.iter().position(|metric| metric == "miou")?;
        evaluation.explainer[at].as_deref()
    }
}

/// Reads the rounds that were asked for, or all there are.
///
/// # Errors
///
/// If there are too few, or a table is missing or of another pack.
pub(crate) fn read(args: &Args, train: &Pack, test: &Pack) -> anyhow::Result<Run> {
    let folder = &args.run;
    let there =
        (1..=u32::MAX).take_while(|t| folder.join(t.to_string()).is_dir()).count() as u32;
    ensure!(there > 0, "no round in {}: expected a folder `1`", folder.display());
    let wanted = args.rounds.unwrap_or(there);
    ensure!(
        wanted <= there,
        "{} has {there} rounds, {wanted} were asked for",
        folder.display()
    );
    let read = |number| round(args, number, train, test);
    let rounds = (1..=wanted).map(read).collect::<Result<_, _>>()?;
    Ok(Run { folder: folder.clone(), baseline: args.baseline.clone(), rounds })
}

fn round(args: &Args, number: u32, train: &Pack, test: &Pack) -> anyhow::Result<Round> {
    let at = |folder: &Path, file: &str| folder.join(number.to_string()).join(file);
    let evaluation = |folder: &PathBuf| {
        let path = at(folder, "evaluation.parquet");
        let (evaluation, provenance) = Evaluation::read(&path)?;
        of_pack(&path, provenance.as_ref(), test)?;
        Ok(evaluation)
    };
    let read = || -> artifact::Result<Round> {
        let path = at(&args.run, "scores.parquet");
        let (scores, provenance) = Scores::read(&path)?;
        of_pack(&path, provenance.as_ref(), train)?;
        Ok(Round {
            number,
            evaluation: evaluation(&args.run)?,
            baseline: args.baseline.as_ref().map(evaluation).transpose()?,
            scores,
            scored_from_files: provenance.is_none_or(|p| p.inputs.contains_key("clean")),
            weights: weights(&at(&args.run, "weights.parquet"), train)?,
        })
    };
    read().with_context(|| format!("round {number}"))
}

fn weights(path: &Path, train: &Pack) -> artifact::Result<Weights> {
    let (weights, provenance) = Weights::read(path)?;
    of_pack(path, provenance.as_ref(), train)?;
    Ok(weights)
}

/// Refuses what was made from another pack.
fn of_pack(path: &Path, from: Option<&Provenance>, pack: &Pack) -> artifact::Result<()> {
    made_from("data", (path, from), (&pack.path, pack.digest()))
}

/// Reads maps of the images of `pack`.
pub(crate) fn maps(path: &Path, pack: &Pack) -> anyhow::Result<Maps> {
    let maps = Maps::read(path)?;
    of_pack(path, maps.provenance.as_ref(), pack)?;
    let beyond = maps.sample.iter().find(|&&sample| sample as usize >= pack.len());
    ensure!(
        beyond.is_none(),
        "{} has a map of sample {}, but {} has {} images",
        path.display(),
        beyond.unwrap_or(&0),
        pack.path.display(),
        pack.len(),
    );
    Ok(maps)
}
