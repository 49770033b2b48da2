//! The weighted loss of a batch.

use artifact::Labels;
use candle_core::{Device, Result, Tensor};
use ops::Node;

use crate::args::Normalize;

/// The loss of each sample: cross entropy, or binary cross entropy averaged over the
/// classes where there may be several.
///
/// # Shapes
///
/// - `logits`: `[B, K]`
/// - result: `[B]`
pub(crate) fn per_sample(logits: &Node, labels: &Labels) -> Result<Node> {
    match labels {
        Labels::Single(labels) => ops::cross_entropy(logits, labels),
        Labels::Multi { classes, hot } => {
            let hot: Vec<f32> = hot.iter().map(|&h| f32::from(h)).collect();
            let shape = (labels.len(), *classes);
            ops::bce_with_logits(logits, &Tensor::from_vec(hot, shape, logits.device())?)
        }
    }
}

/// What each sample's loss counts in the loss of a batch, Σ v·L over the `divisor`: the
/// latter's gradient by the former.
///
/// # Shapes
///
/// - `weights`, result: `[B]`
pub(crate) fn shares(weights: &[f32], divisor: f64, device: &Device) -> Result<Tensor> {
    let share = |v: &f32| (f64::from(*v) / divisor) as f32;
    Tensor::from_iter(weights.iter().map(share), device)
}

/// What the weighted sum of a batch's losses is divided by: its samples, or their weights.
///
/// The latter is 0 if all weights are; there is nothing to learn from such a batch.
pub(crate) fn divisor(weights: &[f32], normalize: Normalize) -> f64 {
    match normalize {
        Normalize::Mean => weights.len() as f64,
        Normalize::Weights => weights.iter().map(|&v| f64::from(v)).sum(),
    }
}

/// How many samples' highest logit is their class, or one of their classes.
///
/// # Shapes
///
/// - `logits`: `[B, K]`
pub(crate) fn correct(logits: &[f32], labels: &Labels) -> usize {
    let right = |&(i, z): &(usize, &[f32])| labels.row(i).has(highest(z));
    let classes = logits.len() / labels.len().max(1);
    logits.chunks_exact(classes.max(1)).enumerate().filter(right).count()
}

/// The place of the highest, the first of equals.
fn highest(logits: &[f32]) -> i64 {
    let higher = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (1..logits.len()).fold(0, higher) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weights: &[f32], normalize: Normalize) -> Vec<f32> {
        let divisor = divisor(weights, normalize);
        shares(weights, divisor, &Device::Cpu).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn weights_are_shares_of_the_samples_or_of_themselves() {
        assert_eq!(of(&[0.5, 0.0, 1.0, 0.5], Normalize::Mean), [0.125, 0.0, 0.25, 0.125]);
        assert_eq!(of(&[0.5, 0.0, 1.0, 0.5], Normalize::Weights), [0.25, 0.0, 0.5, 0.25]);
    }

    #[test]
    fn without_any_weight_there_is_nothing_to_divide_by() {
        assert_eq!(of(&[0.0; 2], Normalize::Mean), [0.0; 2]);
        assert_eq!(divisor(&[0.0; 3], Normalize::Weights), 0.0);
    }

    #[test]
    fn both_kinds_of_label_have_a_loss() {
        // one class: ln(1 + e^0) = ln 2 for two equal logits; several: each logit 0 costs ln 2
        let logits = Node::from(&Tensor::new(&[[0f32, 0.0]], &Device::Cpu).unwrap());
        let labels =
            [Labels::Single(vec![1]), Labels::Multi { classes: 2, hot: vec![1, 1] }];
        for labels in labels {
            let loss = per_sample(&logits, &labels).unwrap().to_vec1::<f32>().unwrap()[0];
            assert!((loss - 2f32.ln()).abs() < 1e-6, "{loss}");
        }
    }

    #[test]
    fn the_highest_logit_decides() {
        let logits = [0.0, 1.0, 3.0, 2.0];
        assert_eq!(correct(&logits, &Labels::Single(vec![1, 1])), 1);
        assert_eq!(correct(&[2.0, 2.0], &Labels::Single(vec![0])), 1);
        let several = Labels::Multi { classes: 2, hot: vec![1, 1, 0, 1] };
        assert_eq!(correct(&logits, &several), 1);
    }
}
