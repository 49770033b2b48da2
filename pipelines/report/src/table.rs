//! The numbers of each round, for the terminal and for the page.

use std::fmt;

use consistency::quantile;

use crate::run::{Round, Run};

/// One round in numbers; what is not known is `None`.
pub(crate) struct Row {
    pub round: u32,
    pub accuracy: Option<f64>,
    pub baseline_accuracy: Option<f64>,
    pub miou: Option<f64>,
    pub baseline_miou: Option<f64>,
    /// Share of the training samples predicted correctly.
    pub correct: f64,
    /// Share of those whose prediction the perturbation changes.
    pub flipped: Option<f64>,
    /// Median of D over the rest, Eq. (3).
    pub median: Option<f64>,
    /// Mean of the weights the round was trained with.
    pub weight: f64,
}

impl Row {
    pub(crate) fn new(run: &Run, round: &Round) -> Self {
        let explainer = run.explainer();
        let accuracy = |e: &artifact::Evaluation| {
            e.get("top1", "all", None).or_else(|| e.get("map", "all", None))
        };
        let miou = |e: &artifact::Evaluation| e.get("miou", "all", explainer);
        let (flipped, rest) = judged(&round.scores);
        let compared = round.scores.predicted_perturbed.iter().flatten().count();
        let correct = round.scores.correct.iter().filter(|&&c| c).count();
        let weights = &round.weights.weight;
        Self {
            round: round.number,
            accuracy: accuracy(&round.evaluation),
            baseline_accuracy: round.baseline.as_ref().and_then(accuracy),
            miou: miou(&round.evaluation),
            baseline_miou: round.baseline.as_ref().and_then(miou),
            correct: correct as f64 / round.scores.len() as f64,
            flipped: (compared > 0).then(|| flipped as f64 / compared as f64),
            median: quantile(&rest, 0.5),
            weight: weights.iter().map(|&w| f64::from(w)).sum::<f64>()
                / weights.len() as f64,
        }
    }
}

/// How many judged samples were flipped (Eq. 2, second case), and D of the rest, sorted.
pub(crate) fn judged(scores: &artifact::Scores) -> (usize, Vec<f64>) {
    let mut flipped = 0;
    let mut rest = Vec::new();
    for i in 0..scores.len() {
        match (scores.predicted_perturbed[i], scores.inconsistency[i]) {
            (Some(new), _) if new != scores.predicted[i] => flipped += 1,
            (_, Some(inconsistency)) => rest.push(f64::from(inconsistency)),
            _ => {}
        }
    }
    rest.sort_by(f64::total_cmp);
    (flipped, rest)
}

/// The rounds as a table for the terminal.
pub(crate) struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "round  accuracy  baseline    mIoU  baseline  flipped  median D  mean weight"
        )?;
        for row in self.0 {
            writeln!(
                f,
                "{:>5}  {:>8}  {:>8}  {:>6}  {:>8}  {:>7}  {:>8}  {:>11.3}",
                row.round,
                percent(row.accuracy),
                percent(row.baseline_accuracy),
                decimal(row.miou),
                decimal(row.baseline_miou),
                percent(row.flipped),
                decimal(row.median),
                row.weight,
            )?;
        }
        Ok(())
    }
}

/// A share as a percentage, or a dash.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

/// A number with four decimals, or a dash.
pub(crate) fn decimal(number: Option<f64>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| format!("{number:.4}"))
}

#[cfg(test)]
mod tests {
    use artifact::Scores;

    use super::*;

    #[test]
    fn flipped_and_unjudged_samples_are_kept_apart() {
        let scores = Scores {
            sample: vec![0, 1, 2, 3],
            predicted: vec![1, 1, 0, 0],
            predicted_perturbed: vec![Some(1), Some(0), None, Some(0)],
            inconsistency: vec![Some(0.5), Some(0.75), None, Some(0.25)],
            ..Scores::default()
        };
        assert_eq!(judged(&Scores { label: vec![0; 4], ..scores }), (1, vec![0.25, 0.5]));
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        assert_eq!(percent(None), "–");
        assert_eq!(percent(Some(0.125)), "12.5 %");
        assert_eq!(decimal(Some(0.25)), "0.2500");
    }
}
