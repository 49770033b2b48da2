//! Probabilities, losses and entropies of one sample's logits, in f64 inside.
//!
//! Every function works on the differences of logits, so that none overflows and none
//! loses its digits when the network is certain.

/// Probabilities of exclusive classes, `exp(z_k) / Σ exp(z_j)`.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::softmax::softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
/// ```
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    probabilities(logits).into_iter().map(|p| p as f32).collect()
}

/// Cross entropy of exclusive classes against the class `label`, `-ln softmax(z)_label`.
///
/// # Panics
///
/// If there is no such class.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::softmax::cross_entropy(&[5.0, 5.0], 0), 2f32.ln());
/// assert_eq!(ops::softmax::cross_entropy(&[0.0, 1000.0], 0), 1000.0);
/// ```
pub fn cross_entropy(logits: &[f32], label: usize) -> f32 {
    surprise(logits, label) as f32
}

/// Entropy of [`softmax`] in nats, `-Σ p ln p`.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::softmax::entropy(&[3.0, 3.0]), 2f32.ln());
/// assert_eq!(ops::softmax::entropy(&[0.0, 1000.0]), 0.0);
/// ```
pub fn entropy(logits: &[f32]) -> f32 {
    let (top, others) = split(logits);
    let log = others.ln_1p();
    // Σ p (log + top - z): only terms of one sign, so nothing cancels
    let terms = logits.iter().map(|z| {
        let below = top - f64::from(*z);
        if below.is_infinite() { 0.0 } else { (-below - log).exp() * (below + log) }
    });
    terms.sum::<f64>() as f32
}

/// Probability of one of several independent labels, `1 / (1 + exp(-z))`.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::softmax::sigmoid(0.0), 0.5);
/// assert_eq!(ops::softmax::sigmoid(-1000.0), 0.0);
/// ```
pub fn sigmoid(logit: f32) -> f32 {
    logistic(f64::from(logit)) as f32
}

/// Mean binary cross entropy of independent labels, each 0 or 1.
///
/// # Panics
///
/// If there are not as many labels as logits.
///
/// # Examples
///
/// ```
/// // (0 + 100) / 2
/// assert_eq!(ops::softmax::bce(&[1000.0, -100.0], &[1, 1]), 50.0);
/// ```
pub fn bce(logits: &[f32], labels: &[u8]) -> f32 {
    assert_eq!(logits.len(), labels.len(), "a label for each logit");
    let pairs = logits.iter().zip(labels);
    mean(pairs.map(|(z, t)| binary(f64::from(*z), f64::from(*t))))
}

/// Mean entropy of independent labels in nats, each `-p ln p - (1 - p) ln(1 - p)`.
///
/// # Examples
///
/// ```
/// assert_eq!(ops::softmax::binary_entropy(&[0.0, 0.0]), 2f32.ln());
/// assert_eq!(ops::softmax::binary_entropy(&[1000.0, -1000.0]), 0.0);
/// ```
pub fn binary_entropy(logits: &[f32]) -> f32 {
    mean(logits.iter().map(|z| {
        let z = f64::from(*z).abs();
        // the less likely side has probability q
        let q = logistic(-z);
        if q == 0.0 {
            0.0
        } else {
            q * (z + (-z).exp().ln_1p()) + (1.0 - q) * (-z).exp().ln_1p()
        }
    }))
}

/// [`softmax`] before it is rounded.
pub(crate) fn probabilities(logits: &[f32]) -> Vec<f64> {
    let (top, others) = split(logits);
    logits.iter().map(|z| (f64::from(*z) - top).exp() / (1.0 + others)).collect()
}

/// [`cross_entropy`] before it is rounded.
pub(crate) fn surprise(logits: &[f32], label: usize) -> f64 {
    let (top, others) = split(logits);
    top - f64::from(logits[label]) + others.ln_1p()
}

/// `max(z, 0) - z t + ln(1 + exp(-|z|))`, the cross entropy of one logit.
pub(crate) fn binary(z: f64, target: f64) -> f64 {
    let hinge = if z < 0.0 { 0.0 } else { z };
    hinge - z * target + (-z.abs()).exp().ln_1p()
}

pub(crate) fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// The highest logit, and `Σ exp(z - highest)` over all others.
fn split(logits: &[f32]) -> (f64, f64) {
    let mut highest = 0;
    for (k, z) in logits.iter().enumerate() {
        if *z > logits[highest] || z.is_nan() {
            highest = k;
        }
    }
    let top = logits.get(highest).map_or(f64::NAN, |z| f64::from(*z));
    let others = logits.iter().enumerate().filter(|(k, _)| *k != highest);
    (top, others.map(|(_, z)| (f64::from(*z) - top).exp()).sum())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f32 {
    let count = values.len() as f64;
    (values.sum::<f64>() / count) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // exp: 1, 2, 5; sum 8
        let z = [0.0, 2f32.ln(), 5f32.ln()];
        let p = softmax(&z);
        for (p, expected) in p.iter().zip([0.125, 0.25, 0.625]) {
            assert!((p - expected).abs() < 1e-7, "{p}");
        }
        assert!((cross_entropy(&z, 1) - 4f32.ln()).abs() < 1e-6);
        // 1/8 ln 8 + 1/4 ln 4 + 5/8 ln 8/5
        assert!((entropy(&z) - 0.900_256).abs() < 1e-6, "{}", entropy(&z));
        // p = 1/3: ln 3 - 2/3 ln 2
        let binary = binary_entropy(&[0.5f32.ln()]);
        assert!((binary - 0.636_514).abs() < 1e-6, "{binary}");
    }

    #[test]
    fn the_loss_of_a_certain_network_is_small_but_not_zero() {
        // f32 would round 1 + exp(-60) to 1
        let loss = cross_entropy(&[60.0, 0.0], 0);
        assert!((f64::from(loss) / (-60f64).exp() - 1.0).abs() < 1e-6, "{loss}");
        let loss = bce(&[60.0], &[1]);
        assert!((f64::from(loss) / (-60f64).exp() - 1.0).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn what_is_no_number_stays_visible() {
        let z = [0.0, f32::NAN, 1.0];
        assert!(softmax(&z).iter().all(|p| p.is_nan()));
        assert!(cross_entropy(&z, 0).is_nan() && entropy(&z).is_nan());
        assert!(sigmoid(f32::NAN).is_nan() && bce(&z, &[0; 3]).is_nan());
        assert!(binary_entropy(&z).is_nan());
    }
}
