//! The weighted loss of a batch.

use artifact::Labels;
use candle_core::{Result, Tensor};

use crate::args::Normalize;

/// The loss of each sample: cross entropy, or binary cross entropy averaged over the
/// classes where there may be several.
///
/// # Shapes
///
/// - `logits`: `[B, K]`
/// - result: `[B]`
pub(crate) fn per_sample(logits: &Tensor, labels: &Labels) -> Result<Tensor> {
    match labels {
        Labels::Single(labels) => ops::cross_entropy(logits, labels),
        Labels::Multi { classes, hot } => {
            let hot: Vec<f32> = hot.iter().map(|&h| f32::from(h)).collect();
            let shape = (labels.len(), *classes);
            ops::bce_with_logits(logits, &Tensor::from_vec(hot, shape, logits.device())?)
        }
    }
}

/// The loss of a batch: Σ v·L over the `divisor`.
///
/// # Shapes
///
/// - `losses`, `weights`: `[B]`
/// - result: scalar
pub(crate) fn of_batch(losses: &Tensor, weights: &[f32], divisor: f64) -> Result<Tensor> {
    // Divided first, so that the sum cannot overflow before its mean does.
    let shares: Vec<f32> =
        weights.iter().map(|v| (f64::from(*v) / divisor) as f32).collect();
    let shares = Tensor::from_vec(shares, weights.len(), losses.device())?;
    (losses * shares)?.sum_all()
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
pub(crate) fn correct(logits: &Tensor, labels: &Labels) -> Result<usize> {
    let highest: Vec<u32> = logits.detach().argmax(1)?.to_vec1()?;
    let right = |&(i, &class): &(usize, &u32)| labels.row(i).has(i64::from(class));
    Ok(highest.iter().enumerate().filter(right).count())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn of(weights: &[f32], normalize: Normalize) -> f32 {
        let losses = Tensor::new(&[1f32, 2.0, 4.0], &Device::Cpu).unwrap();
        let loss = of_batch(&losses, weights, divisor(weights, normalize)).unwrap();
        loss.to_scalar().unwrap()
    }

    #[test]
    fn weights_scale_the_losses() {
        // (0.5·1 + 0·2 + 1·4) / 3 = 1.5, / 1.5 = 3
        assert_eq!(of(&[0.5, 0.0, 1.0], Normalize::Mean), 1.5);
        assert_eq!(of(&[0.5, 0.0, 1.0], Normalize::Weights), 3.0);
    }

    #[test]
    fn without_any_weight_there_is_nothing_to_divide_by() {
        assert_eq!(of(&[0.0; 3], Normalize::Mean), 0.0);
        assert_eq!(divisor(&[0.0; 3], Normalize::Weights), 0.0);
    }

    #[test]
    fn both_kinds_of_label_have_a_loss() {
        // one class: ln(1 + e^0) = ln 2 for two equal logits; several: each logit 0 costs ln 2
        let logits = Tensor::new(&[[0f32, 0.0]], &Device::Cpu).unwrap();
        let labels =
            [Labels::Single(vec![1]), Labels::Multi { classes: 2, hot: vec![1, 1] }];
        for labels in labels {
            let loss = per_sample(&logits, &labels).unwrap().to_vec1::<f32>().unwrap()[0];
            assert!((loss - 2f32.ln()).abs() < 1e-6, "{loss}");
        }
    }

    #[test]
    fn the_highest_logit_decides() {
        let logits = Tensor::new(&[[0f32, 1.0], [3.0, 2.0]], &Device::Cpu).unwrap();
        assert_eq!(correct(&logits, &Labels::Single(vec![1, 1])).unwrap(), 1);
        let several = Labels::Multi { classes: 2, hot: vec![1, 1, 0, 1] };
        assert_eq!(correct(&logits, &several).unwrap(), 1);
    }
}
