//! Who is labelled, and who takes part besides.

use std::{fmt, path::Path};

use anyhow::Result;
use artifact::{Pack, Weights};

/// What was chosen of a pack.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Which samples had a label before, in the order of the pack.
    labelled: Vec<bool>,
    /// Samples that are labelled now.
    pub(crate) added: Vec<usize>,
    /// Samples that are trained towards a prediction, in this round alone.
    pub(crate) pseudo_labelled: Vec<(usize, i32)>,
}

impl Choice {
    /// Nothing is chosen yet, and nothing was before.
    pub(crate) fn new(pack: &Pack) -> Self {
        Self::after(vec![false; pack.len()])
    }

    /// Nothing is chosen yet, but in earlier rounds, as the table at `path` says.
    ///
    /// # Errors
    ///
    /// If the table is of another pack.
    pub(crate) fn read(path: &Path, pack: &Pack) -> Result<Self> {
        let (weights, provenance) = Weights::read(path)?;
        let of_pack = (pack.path.as_path(), pack.digest());
        artifact::made_from("data", (path, provenance.as_ref()), of_pack)?;
        Ok(Self::after(weights.labelled(path, pack.len())?))
    }

    fn after(labelled: Vec<bool>) -> Self {
        Self { labelled, added: Vec::new(), pseudo_labelled: Vec::new() }
    }

    /// Which samples had a label before.
    pub(crate) fn labelled(&self) -> &[bool] {
        &self.labelled
    }

    /// The samples that had none, ascending.
    pub(crate) fn unlabelled(&self) -> Vec<usize> {
        (0..self.labelled.len()).filter(|&i| !self.labelled[i]).collect()
    }

    /// How many samples a share of the pack is: at least one, at most as many as are left.
    pub(crate) fn count(&self, share: f64) -> usize {
        let left = self.labelled.iter().filter(|&&labelled| !labelled).count();
        let count = (share * self.labelled.len() as f64).round() as usize;
        count.max(1).min(left)
    }

    /// The table for the next round of training, in which every sample weighs 1.
    pub(crate) fn weights(&self) -> Weights {
        let samples = self.labelled.len();
        let mut weights = Weights {
            sample: (0..samples as u32).collect(),
            weight: vec![1.0; samples],
            selected: self.labelled.clone(),
            pseudo_label: vec![None; samples],
        };
        for &sample in &self.added {
            weights.selected[sample] = true;
        }
        for &(sample, class) in &self.pseudo_labelled {
            weights.selected[sample] = true;
            weights.pseudo_label[sample] = Some(class);
        }
        weights
    }
}

/// What `select` prints.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let samples = self.labelled.len();
        let before = self.labelled.iter().filter(|&&labelled| labelled).count();
        let (added, pseudo_labelled) = (self.added.len(), self.pseudo_labelled.len());
        let selected = before + added + pseudo_labelled;
        let share = 100.0 * selected as f64 / samples as f64;
        writeln!(f, "samples         {samples:>8}")?;
        writeln!(f, "labelled before {before:>8}")?;
        writeln!(f, "added           {added:>8}")?;
        writeln!(f, "pseudo-labelled {pseudo_labelled:>8}")?;
        writeln!(f, "selected        {selected:>8}  {share:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_pack_and_rounded() {
        let of = |labelled: usize, samples: usize, share: f64| {
            Choice::after((0..samples).map(|i| i < labelled).collect()).count(share)
        };
        assert_eq!(of(0, 10, 0.3), 3);
        assert_eq!(of(3, 10, 0.1), 1);
        assert_eq!([of(0, 15, 0.1), of(0, 14, 0.1)], [2, 1]);
        // at least one, at most what is left
        assert_eq!([of(3, 10, 0.01), of(9, 10, 0.3), of(10, 10, 0.3)], [1, 1, 0]);
        assert_eq!(of(0, 10, 1.0), 10);
    }

    #[test]
    fn chosen_samples_take_part_and_are_counted() {
        let mut choice = Choice::after(vec![false, true, false, false, false]);
        assert_eq!(choice.unlabelled(), [0, 2, 3, 4]);
        choice.added = vec![4];
        choice.pseudo_labelled = vec![(2, 7)];
        let weights = choice.weights();
        assert_eq!(weights.sample, [0, 1, 2, 3, 4]);
        assert_eq!(weights.weight, [1.0; 5]);
        assert_eq!(weights.selected, [false, true, true, false, true]);
        assert_eq!(weights.pseudo_label, [None, None, Some(7), None, None]);
        let printed = choice.to_string();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = printed.lines().map(words).collect();
        let expected = [
            "samples 5",
            "labelled before 1",
            "added 1",
            "pseudo-labelled 1",
            "selected 3 60.0 %",
        ];
        assert_eq!(lines, expected);
    }
}
