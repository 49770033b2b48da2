//! From scores to weights, joined by sample.

use std::collections::BTreeMap;

use anyhow::ensure;
use artifact::{Scores, Weights};

/// Every one of `samples` samples weighs 1 and takes part.
pub(crate) fn uniform(samples: usize) -> Weights {
    Weights {
        sample: (0..samples as u32).collect(),
        weight: vec![1.0; samples],
        selected: vec![true; samples],
        pseudo_label: vec![None; samples],
    }
}

/// Eq. (4), raised to `floor + (1 − floor)·v`; every sample takes part.
pub(crate) fn consistency(scores: &Scores, floor: f32) -> Weights {
    let weight = scores.correct.iter().zip(&scores.consistency).map(|(&correct, &e)| {
        let v = consistency::weight(correct, e);
        // = floor + (1 − floor)·v, and exactly 1 for v = 1
        v + floor * (1.0 - v)
    });
    Weights {
        sample: scores.sample.clone(),
        weight: weight.collect(),
        selected: vec![true; scores.sample.len()],
        pseudo_label: vec![None; scores.sample.len()],
    }
}

/// Lets the samples that were selected before, and only they, be so again.
///
/// The weights before do not matter: a weight is of its own round.
pub(crate) fn carry_over(previous: &Weights, weights: &mut Weights) -> anyhow::Result<()> {
    let rows: BTreeMap<u32, usize> = previous.sample.iter().copied().zip(0..).collect();
    let missing: Vec<u32> = weights
        .sample
        .iter()
        .copied()
        .filter(|sample| !rows.contains_key(sample))
        .collect();
    ensure!(
        missing.is_empty() && rows.len() == weights.sample.len(),
        "expected the same samples in both, found {} scored and {} weighed before{}",
        weights.sample.len(),
        rows.len(),
        missing.first().map_or(String::new(), |first| format!(
            "; scored only: {}, first sample {first}",
            missing.len()
        )),
    );
    for (i, sample) in weights.sample.iter().enumerate() {
        weights.selected[i] = previous.selected[rows[sample]];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(correct: Vec<bool>, consistency: Vec<Option<f32>>) -> Scores {
        let n = correct.len();
        Scores {
            sample: (0..n as u32).collect(),
            label: vec![0; n],
            predicted: vec![0; n],
            predicted_perturbed: vec![None; n],
            correct,
            loss: vec![0.0; n],
            confidence: vec![1.0; n],
            entropy: vec![0.0; n],
            distance: vec![None; n],
            inconsistency: vec![None; n],
            consistency,
            status: vec![0; n],
        }
    }

    #[test]
    fn the_floor_raises_low_weights_and_leaves_one() {
        let scores = scores(vec![true; 3], vec![Some(1.0), Some(0.5), Some(0.0)]);
        assert_eq!(consistency(&scores, 0.0).weight, [0.0, 0.5, 1.0]);
        assert_eq!(consistency(&scores, 0.5).weight, [0.5, 0.75, 1.0]);
    }

    #[test]
    fn selection_is_carried_by_sample() {
        let mut next = consistency(&scores(vec![true; 2], vec![Some(0.25); 2]), 0.0);
        let before = Weights {
            sample: vec![1, 0],
            weight: vec![0.125, 0.5],
            selected: vec![false, true],
            pseudo_label: vec![Some(3), None],
        };
        carry_over(&before, &mut next).unwrap();
        assert_eq!(next.weight, [0.75, 0.75]);
        assert_eq!(next.selected, [true, false]);
        assert_eq!(next.pseudo_label, [None, None]);
    }

    #[test]
    fn other_samples_are_not_joined() {
        let mut next = uniform(3);
        let error = carry_over(&uniform(2), &mut next).unwrap_err().to_string();
        assert!(error.contains("scored only: 1, first sample 2"), "{error}");
        let mut next = uniform(2);
        assert!(carry_over(&uniform(3), &mut next).is_err());
    }
}
