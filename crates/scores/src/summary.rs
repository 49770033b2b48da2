use std::fmt;

use artifact::Scores;
use consistency::quantile;

/// The quantiles of D that are printed.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// How the scores are distributed, in the words that are printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    samples: usize,
    correct: usize,
    /// Perturbed versions of the correct ones.
    compared: usize,
    /// Of which are predicted otherwise than the clean ones.
    flipped: usize,
    flat: usize,
    not_finite: usize,
    /// Of D of the correct, unflipped ones.
    quantiles: Option<[f64; 5]>,
}

impl Summary {
    /// Of these scores.
    ///
    /// # Panics
    ///
    /// If a status is not 0, 1 or 2.
    pub fn of(scores: &Scores) -> Self {
        let flipped = |i: usize| {
            scores.predicted_perturbed[i].is_some_and(|class| class != scores.predicted[i])
        };
        let mut of_status = [0; 3];
        for &status in &scores.status {
            of_status[usize::from(status)] += 1;
        }
        let [_, flat, not_finite] = of_status;
        let samples = scores.sample.len();
        let mut inconsistency: Vec<f64> = (0..samples)
            .filter(|&i| scores.correct[i] && !flipped(i))
            .filter_map(|i| scores.inconsistency[i].map(f64::from))
            .collect();
        inconsistency.sort_by(f64::total_cmp);
        let quantiles = QUANTILES.map(|q| quantile(&inconsistency, q).unwrap_or(f64::NAN));
        Self {
            samples,
            correct: scores.correct.iter().filter(|&&correct| correct).count(),
            compared: scores.predicted_perturbed.iter().flatten().count(),
            flipped: (0..samples).filter(|&i| flipped(i)).count(),
            flat,
            not_finite,
            quantiles: (!inconsistency.is_empty()).then_some(quantiles),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        writeln!(f, "samples    {:>8}", self.samples)?;
        let correct = share(self.correct, self.samples);
        writeln!(f, "correct    {:>8}  {correct:5.1} %", self.correct)?;
        if self.compared > 0 {
            let flipped = share(self.flipped, self.compared);
            writeln!(f, "flipped    {:>8}  {flipped:5.1} % of the correct", self.flipped)?;
        }
        writeln!(f, "flat       {:>8}", self.flat)?;
        writeln!(f, "not finite {:>8}", self.not_finite)?;
        if let Some(quantiles) = self.quantiles {
            write!(f, "quantile  ")?;
            for q in QUANTILES {
                write!(f, " {:>6.0} %", 100.0 * q)?;
            }
            write!(f, "  of the correct and not flipped\nD         ")?;
            for value in quantiles {
                write!(f, " {value:>8.4}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts() {
        // correct and kept, misclassified, flipped, flat, correct and kept
        let scores = Scores {
            sample: vec![0, 1, 2, 3, 4],
            label: vec![0; 5],
            predicted: vec![0, 1, 0, 0, 0],
            predicted_perturbed: vec![Some(0), None, Some(1), Some(0), Some(0)],
            correct: vec![true, false, true, true, true],
            loss: vec![0.0; 5],
            confidence: vec![1.0; 5],
            entropy: vec![0.0; 5],
            distance: vec![Some(1.0), None, Some(4.0), None, Some(2.0)],
            inconsistency: vec![Some(0.25), None, Some(0.75), None, Some(0.5)],
            consistency: vec![Some(0.75), None, Some(0.0), None, Some(0.5)],
            status: vec![0, 0, 0, 1, 0],
        };
        let printed = Summary::of(&scores).to_string();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = printed.lines().map(words).collect();
        let expected = [
            "samples 5",
            "correct 4 80.0 %",
            "flipped 1 25.0 % of the correct",
            "flat 1",
            "not finite 0",
            "quantile 5 % 25 % 50 % 75 % 95 % of the correct and not flipped",
            "D 0.2625 0.3125 0.3750 0.4375 0.4875",
        ];
        assert_eq!(lines, expected);
    }
}
