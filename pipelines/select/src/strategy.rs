//! From what is known of samples without a label to those that get one.
//!
//! Samples are given ascending, and of equals the first is taken.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};
use artifact::Scores;
use consistency::selection::{self, Measure};

/// The first `count` samples without a label, in the order that the seed draws.
pub(crate) fn random(labelled: &[bool], count: usize, seed: u64) -> Vec<usize> {
    let order = data::draw(labelled.len() as u32, seed);
    let open = order.into_iter().map(|i| i as usize).filter(|&i| !labelled[i]);
    open.take(count).collect()
}

/// The `count` samples whose predictions are least certain.
pub(crate) fn uncertain(
    samples: &[usize],
    logits: &[&[f32]],
    measure: Measure,
    count: usize,
) -> Vec<usize> {
    let values: Vec<f32> = logits.iter().map(|logits| measure.of(logits)).collect();
    selection::highest(&values, count).into_iter().map(|i| samples[i]).collect()
}

/// Predictions to take for labels: those of the samples that are not `added` and whose
/// entropy is below the threshold.
pub(crate) fn certain(
    samples: &[usize],
    logits: &[&[f32]],
    added: &[usize],
    threshold: f64,
) -> Vec<(usize, i32)> {
    let mut added = added.to_vec();
    added.sort_unstable();
    let certain = |(&sample, &logits): (&usize, &&[f32])| {
        let entropy = f64::from(Measure::Entropy.of(logits));
        let takes_part = entropy < threshold && added.binary_search(&sample).is_err();
        takes_part.then(|| (sample, explain::predicted_class(logits) as i32))
    };
    samples.iter().zip(logits).filter_map(certain).collect()
}

/// The `count` samples whose explanations are least consistent by the table at `path`.
///
/// A sample without E, because a map of it is not ok, counts as inconsistent, as Eq. (4) has it.
/// Of those that flip, all at E = 0, the maps that moved most come first (the paper does not say).
///
/// # Errors
///
/// If a sample has no row, or one that its label had a say in: then a wrong prediction, which
/// has no E, would look like an inconsistent one.
pub(crate) fn inconsistent(
    samples: &[usize],
    (path, scores): (&Path, &Scores),
    count: usize,
) -> Result<Vec<usize>> {
    let rows: BTreeMap<u32, usize> = scores.sample.iter().copied().zip(0..).collect();
    let value = |&sample: &usize| {
        let row = rows.get(&(sample as u32)).copied().with_context(|| {
            format!(
                "{}: expected a row for each unlabelled sample, found none for sample {sample}",
                path.display()
            )
        })?;
        let consistency = scores.consistency[row];
        ensure!(
            scores.correct[row] && (consistency.is_some() || scores.status[row] != 0),
            "{}: expected unlabelled samples to be compared whatever their label, found \
             sample {sample} left out; make the table by `audit --unlabelled`",
            path.display(),
        );
        // of flipped ones, all at E = 0, those whose maps moved most
        let moved = scores.inconsistency[row].unwrap_or(1.0);
        Ok((1.0 - consistency.unwrap_or(0.0), moved))
    };
    let values: Vec<(f32, f32)> = samples.iter().map(value).collect::<Result<_>>()?;
    Ok(selection::highest(&values, count).into_iter().map(|i| samples[i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entropies grow: 0.0004, 0.04, 0.69 and, of equal ones, 0.69.
    const LOGITS: [&[f32]; 4] = [&[0.0, 10.0], &[5.0, 0.0], &[1.0, 1.0], &[2.0, 2.0]];
    const SAMPLES: [usize; 4] = [1, 4, 6, 7];

    #[test]
    fn samples_that_are_drawn_go_on_where_the_last_round_stopped() {
        let all = random(&[false; 10], 10, 3);
        let first = random(&[false; 10], 4, 3);
        assert_eq!(first, all[..4]);
        let mut labelled = [false; 10];
        for sample in first {
            labelled[sample] = true;
        }
        assert_eq!(random(&labelled, 2, 3), all[4..6]);
    }

    #[test]
    fn the_least_certain_come_first() {
        for measure in Measure::ALL {
            assert_eq!(uncertain(&SAMPLES, &LOGITS, measure, 3), [6, 7, 4], "{measure}");
        }
    }

    #[test]
    fn the_most_certain_are_taken_at_their_word() {
        assert_eq!(certain(&SAMPLES, &LOGITS, &[], 0.05), [(1, 1), (4, 0)]);
        assert_eq!(certain(&SAMPLES, &LOGITS, &[7, 1], 0.05), [(4, 0)]);
        assert_eq!(certain(&SAMPLES, &LOGITS, &[], 0.01), [(1, 1)]);
        assert!(certain(&SAMPLES, &LOGITS, &[], 0.0).is_empty());
    }

    fn scores(consistency: [Option<f32>; 4]) -> Scores {
        Scores {
            sample: vec![7, 6, 4, 1],
            label: vec![0; 4],
            predicted: vec![0; 4],
            predicted_perturbed: vec![Some(0); 4],
            correct: vec![true; 4],
            loss: vec![0.0; 4],
            confidence: vec![1.0; 4],
            entropy: vec![0.0; 4],
            distance: vec![None; 4],
            inconsistency: vec![None; 4],
            consistency: consistency.to_vec(),
            status: consistency.map(|e| u8::from(e.is_none())).to_vec(),
        }
    }

    fn chosen(scores: &Scores) -> Result<Vec<usize>> {
        inconsistent(&SAMPLES, (Path::new("scores.parquet"), scores), 3)
    }

    #[test]
    fn the_least_consistent_are_joined_by_sample() {
        let found = chosen(&scores([Some(0.25), Some(1.0), Some(0.5), Some(0.25)]));
        assert_eq!(found.unwrap(), [1, 7, 4]);
        // flipped, and without a verdict
        let flipped = scores([Some(0.0), None, Some(0.5), Some(0.0)]);
        let moved = vec![Some(0.25), None, Some(0.5), Some(0.75)];
        let found = chosen(&Scores { inconsistency: moved, ..flipped });
        assert_eq!(found.unwrap(), [6, 1, 7]);
    }

    #[test]
    fn scores_that_a_label_had_a_say_in_are_refused() {
        let whole = scores([Some(0.5); 4]);
        let mut gated = whole.clone();
        gated.consistency[2] = None;
        let without = chosen(&gated).unwrap_err().to_string();
        gated.correct[2] = false;
        gated.status[2] = 1;
        let wrong = chosen(&gated).unwrap_err().to_string();
        for error in [without, wrong] {
            assert!(error.contains("scores.parquet: expected unlabelled"), "{error}");
            assert!(error.contains("sample 4") && error.contains("audit"), "{error}");
        }
        let fewer = Scores { sample: vec![7, 9, 4, 1], ..whole };
        let error = chosen(&fewer).unwrap_err().to_string();
        assert!(error.contains("none for sample 6"), "{error}");
    }
}
