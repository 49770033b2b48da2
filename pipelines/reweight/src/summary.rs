use std::fmt;

use artifact::Weights;

/// What `reweight` prints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    samples: usize,
    selected: usize,
    mean: f64,
    min: f32,
    max: f32,
    /// Samples of weight 1.
    ones: usize,
}

impl Summary {
    pub(crate) fn of(weights: &Weights) -> Self {
        let weight = &weights.weight;
        Self {
            samples: weight.len(),
            selected: weights.selected.iter().filter(|&&selected| selected).count(),
            mean: weight.iter().copied().map(f64::from).sum::<f64>() / weight.len() as f64,
            min: weight.iter().copied().fold(f32::INFINITY, f32::min),
            max: weight.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            ones: weight.iter().filter(|&&v| v == 1.0).count(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "samples  {:>8}", self.samples)?;
        writeln!(f, "selected {:>8}", self.selected)?;
        writeln!(f, "mean     {:>8.4}", self.mean)?;
        writeln!(f, "min      {:>8.4}", self.min)?;
        writeln!(f, "max      {:>8.4}", self.max)?;
        let share = 100.0 * self.ones as f64 / self.samples as f64;
        writeln!(f, "at 1     {:>8}  {share:.1} %", self.ones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts() {
        let weights = Weights {
            sample: vec![0, 1, 2, 3],
            weight: vec![0.25, 1.0, 0.5, 1.0],
            selected: vec![true, true, false, true],
            pseudo_label: vec![None; 4],
        };
        let printed = Summary::of(&weights).to_string();
        let lines: Vec<String> = printed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "samples 4",
            "selected 3",
            "mean 0.6875",
            "min 0.2500",
            "max 1.0000",
            "at 1 2 50.0 %",
        ];
        assert_eq!(lines, expected);
    }
}
