//! What a run left in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use artifact::{Evaluation, Scores, Weights};

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
    /// What the round was trained with.
    pub weights: Weights,
}

impl Run {
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

/// Reads the first `rounds` rounds in `folder`, or all there are.
pub(crate) fn read(
    folder: &Path,
    baseline: Option<&Path>,
    rounds: Option<u32>,
) -> anyhow::Result<Run> {
    let there = (1..).take_while(|t| folder.join(t.to_string()).is_dir()).count() as u32;
    ensure!(there > 0, "no round in {}: expected a folder `1`", folder.display());
    let wanted = rounds.unwrap_or(there);
    ensure!(
        wanted <= there,
        "{} has {there} rounds, {wanted} were asked for",
        folder.display()
    );
    let rounds =
        (1..=wanted).map(|t| round(folder, baseline, t)).collect::<Result<_, _>>()?;
    Ok(Run { folder: folder.to_owned(), baseline: baseline.map(Path::to_owned), rounds })
}

fn round(folder: &Path, baseline: Option<&Path>, number: u32) -> anyhow::Result<Round> {
    let at = |folder: &Path, file: &str| folder.join(number.to_string()).join(file);
    let evaluation = |folder| Ok(Evaluation::read(&at(folder, "evaluation.parquet"))?.0);
    let read = || -> artifact::Result<Round> {
        Ok(Round {
            number,
            evaluation: evaluation(folder)?,
            baseline: baseline.map(evaluation).transpose()?,
            scores: Scores::read(&at(folder, "scores.parquet"))?.0,
            weights: Weights::read(&at(folder, "weights.parquet"))?.0,
        })
    };
    read().with_context(|| format!("round {number}"))
}
