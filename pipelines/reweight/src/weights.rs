//! From scores to weights, joined by sample.

use std::collections::BTreeMap;

use anyhow::ensure;
use artifact::{Scores, Weights};
use consistency::Pull;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::args::{Args, Method};

/// These weights, with every sample taking part.
pub(crate) fn table(sample: Vec<u32>, weight: Vec<f32>) -> Weights {
    let n = sample.len();
    Weights { sample, weight, selected: vec![true; n], pseudo_label: vec![None; n] }
}

/// The weight of each row of the scores by the method, raised to `floor + (1 − floor)·v`.
pub(crate) fn of(args: &Args, scores: &Scores) -> Vec<f32> {
    let mut weights = by(args, scores);
    let floor = args.floor;
    for v in &mut weights {
        // = floor + (1 − floor)·v, and exactly 1 for v = 1
        *v += floor * (1.0 - *v);
    }
    weights
}

fn by(args: &Args, scores: &Scores) -> Vec<f32> {
    let rows = 0..scores.len();
    let gamma = args.gamma.unwrap_or(2.0);
    let flipped =
        |i: usize| scores.predicted_perturbed[i].map(|p| p != scores.predicted[i]);
    let consistency =
        |i: usize| consistency::weight(scores.correct[i], scores.consistency[i]);
    match args.method {
        Method::Uniform => vec![1.0; scores.len()],
        Method::Consistency => rows.map(consistency).collect(),
        Method::HardNegative => {
            consistency::hard_negative(&scores.loss, args.fraction.unwrap_or(0.5))
        }
        Method::Focal => {
            rows.map(|i| consistency::focal(scores.confidence[i], gamma)).collect()
        }
        Method::EqualizedFocal => {
            let pulls = pulls(scores);
            let weight = |i: usize| {
                let of_class = pulls[&scores.label[i]].gamma(gamma);
                consistency::equalized_focal(scores.confidence[i], of_class, gamma)
            };
            rows.map(weight).collect()
        }
        Method::Flip => {
            rows.map(|i| consistency::by_flip(flipped(i), scores.correct[i])).collect()
        }
        Method::Distance => rows
            .map(|i| consistency::by_distance(scores.inconsistency[i], scores.correct[i]))
            .collect(),
        Method::Shuffled => {
            let mut weights: Vec<f32> = rows.map(consistency).collect();
            let correct = scores.correct.iter().filter(|correct| **correct).count();
            let mut order: Vec<usize> = (0..correct).collect();
            order.shuffle(&mut ChaCha8Rng::seed_from_u64(args.common.seed));
            consistency::exchange(&mut weights, &scores.correct, &order);
            weights
        }
        Method::Level => {
            let mut weights: Vec<f32> = rows.clone().map(consistency).collect();
            let stays = |i: usize| scores.correct[i] && flipped(i) == Some(false);
            consistency::level(&mut weights, &rows.map(stays).collect::<Vec<_>>());
            weights
        }
    }
}

/// How each class that is a label is pulled.
///
/// The table has no probabilities of classes other than the label: the numbers of predictions
/// stand for their sums, which they are where the network is as certain as it is right.
fn pulls(scores: &Scores) -> BTreeMap<i32, Pull> {
    let mut pulls: BTreeMap<i32, Pull> =
        scores.label.iter().map(|&label| (label, Pull::default())).collect();
    for i in 0..scores.len() {
        let confidence = f64::from(scores.confidence[i]);
        if let Some(pull) = pulls.get_mut(&scores.predicted[i]) {
            pull.down += 1.0;
        }
        if let Some(pull) = pulls.get_mut(&scores.label[i]) {
            pull.up += 1.0 - confidence;
            // of all its probability this was rightly there
            pull.down -= confidence;
        }
    }
    pulls
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
    use clap::Parser;

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

    fn args(method: &str, more: &[&str]) -> Args {
        let flags = ["reweight", "--scores", "s", "--output", "w", "--method", method];
        Args::parse_from(flags.iter().chain(more))
    }

    /// Consistent, moved, flipped, misclassified.
    fn judged() -> Scores {
        let consistency = vec![Some(0.75), Some(0.25), Some(0.0), None];
        Scores {
            predicted: vec![0, 0, 0, 1],
            predicted_perturbed: vec![Some(0), Some(0), Some(1), None],
            inconsistency: vec![Some(0.25), Some(0.75), Some(0.5), None],
            loss: vec![0.25, 0.5, 0.125, 2.0],
            confidence: vec![0.75, 0.5, 0.75, 0.25],
            ..scores(vec![true, true, true, false], consistency)
        }
    }

    #[test]
    fn the_floor_raises_low_weights_and_leaves_one() {
        let scores = scores(vec![true; 3], vec![Some(1.0), Some(0.5), Some(0.0)]);
        assert_eq!(of(&args("consistency", &[]), &scores), [0.0, 0.5, 1.0]);
        assert_eq!(
            of(&args("consistency", &["--floor", "0.5"]), &scores),
            [0.5, 0.75, 1.0]
        );
    }

    #[test]
    fn every_method_weighs_as_it_says() {
        let of = |method, more: &[&str]| of(&args(method, more), &judged());
        assert_eq!(of("consistency", &[]), [0.25, 0.75, 1.0, 1.0]);
        assert_eq!(of("hard-negative", &[]), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(of("hard-negative", &["--fraction", "0.25"]), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(of("focal", &[]), [0.0625, 0.25, 0.0625, 0.5625]);
        assert_eq!(of("focal", &["--gamma", "1"]), [0.25, 0.5, 0.25, 0.75]);
        assert_eq!(of("flip", &[]), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(of("distance", &[]), [0.25, 0.75, 0.5, 1.0]);
        assert_eq!(of("level", &[]), [0.5, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_class_that_is_predicted_too_often_is_focused_more() {
        // all are of class 0, which is pulled up by 1.75 and down by 3 − 2.25 = 0.75: γ stays 2
        assert_eq!(of(&args("equalized-focal", &[]), &judged())[1], 0.25);
        // class 1 has one sample: up 0.5, down 3 − 0.5: γ is 2 + 8·(1 − 0.2)
        let mut two = judged();
        two.label = vec![0, 1, 0, 0];
        two.predicted = vec![0, 1, 1, 1];
        let expected = (8.4 / 2.0 * 0.5f64.powf(8.4)) as f32;
        let found = of(&args("equalized-focal", &[]), &two)[1];
        assert!((found - expected).abs() < 1e-7, "{found}, not {expected}");
    }

    #[test]
    fn shuffled_weights_are_the_same_numbers_in_other_places() {
        let n = 40;
        let e: Vec<Option<f32>> = (0..n).map(|i| Some(i as f32 / 64.0)).collect();
        let mut correct = vec![true; n];
        correct[7] = false;
        let scores = scores(correct, e);
        let ours = of(&args("consistency", &[]), &scores);
        let one = of(&args("shuffled", &[]), &scores);
        assert_eq!(one, of(&args("shuffled", &[]), &scores));
        assert_ne!(one, of(&args("shuffled", &["--seed", "1"]), &scores));
        assert_ne!(one, ours);
        assert_eq!(one[7], 1.0);
        let sorted = |mut weights: Vec<f32>| {
            weights.sort_by(f32::total_cmp);
            weights
        };
        assert_eq!(sorted(one), sorted(ours));
    }

    #[test]
    fn selection_is_carried_by_sample() {
        let mut next = table(vec![0, 1], vec![0.75; 2]);
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
        let mut next = table((0..3).collect(), vec![1.0; 3]);
        let error = carry_over(&table(vec![0, 1], vec![1.0; 2]), &mut next)
            .unwrap_err()
            .to_string();
        assert!(error.contains("scored only: 1, first sample 2"), "{error}");
        let mut next = table(vec![0, 1], vec![1.0; 2]);
        assert!(carry_over(&table((0..3).collect(), vec![1.0; 3]), &mut next).is_err());
    }
}
