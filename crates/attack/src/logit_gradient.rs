use crate::Target;

/// The gradient of each image's loss by its logits, up to a positive factor an image.
///
/// [`fgsm`](crate::fgsm()) takes only the sign of the gradient by the pixels, and no positive
/// factor changes that. The gradients themselves vanish as the network grows certain, and
/// their signs become noise; with the vanishing factor left out they are exact however
/// certain it is.
///
/// # Shapes
///
/// - `logits`: `[B, K]`
/// - `target`: of B images, in the network's range of classes
/// - result: `[B, K]`
///
/// # Panics
///
/// If the target is of fewer images.
///
/// # Examples
///
/// ```
/// use attack::{Target, logit_gradient};
///
/// // in single precision p is 1, 0, 0 here and p − e_0 vanishes; q − e_0 does not
/// let gradient = logit_gradient(&[1e4, 0.0, 0.0], 3, &Target::Single(&[0]));
/// assert_eq!(gradient, [-1.0, 0.5, 0.5]);
/// ```
pub fn logit_gradient(logits: &[f32], classes: usize, target: &Target<'_>) -> Vec<f32> {
    let mut gradient = Vec::with_capacity(logits.len());
    for (i, z) in logits.chunks_exact(classes).enumerate() {
        match *target {
            Target::Single(labels) => {
                gradient.extend(of_cross_entropy(z, labels[i] as usize));
            }
            Target::Multi { hot, .. } => {
                gradient.extend(of_binary_cross_entropy(z, &hot[i * classes..][..classes]));
            }
        }
    }
    gradient
}

/// With p the softmax over all classes and q the one over all but the label's:
///
/// ```text
/// ∂L/∂z = p − e_y = (1 − p_y) · (q − e_y),    of which this is q − e_y
/// ```
///
/// One class alone has p = 1 and a loss that is constantly 0: the gradient is 0.
fn of_cross_entropy(z: &[f32], label: usize) -> Vec<f32> {
    if z.len() == 1 {
        return vec![0.0];
    }
    let others = || (0..z.len()).filter(|&k| k != label);
    let max = others().map(|k| z[k]).fold(f32::NEG_INFINITY, f32::max);
    let exp = |k: usize| (f64::from(z[k]) - f64::from(max)).exp();
    let sum: f64 = others().map(exp).sum();
    let component = |k| if k == label { -1.0 } else { (exp(k) / sum) as f32 };
    (0..z.len()).map(component).collect()
}

/// With σ the logistic function and t the set as zeros and ones:
///
/// ```text
/// L = mean over k of BCE(z_k, t_k)
/// ∂L/∂z_k = (σ(z_k) − t_k) / K = s_k · σ(s_k·z_k) / K,    s_k = −1 if t_k = 1, else 1
/// ```
///
/// This is `s_k · σ(s_k·z_k) / max over j of σ(s_j·z_j)`, the quotient of two sigmoids by
/// the difference of their logarithms, which do not underflow.
fn of_binary_cross_entropy(z: &[f32], hot: &[u8]) -> Vec<f32> {
    let sign = |t: u8| if t == 0 { 1.0 } else { -1.0 };
    let log: Vec<f64> =
        z.iter().zip(hot).map(|(&z, &t)| log_sigmoid(sign(t) * f64::from(z))).collect();
    let max = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    log.iter().zip(hot).map(|(log, &t)| (sign(t) * (log - max).exp()) as f32).collect()
}

/// ln σ(x) = min(x, 0) − ln(1 + exp(−|x|))
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f32], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (&a, &b) in a.iter().zip(b) {
            assert!((f64::from(a) - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn it_is_the_softmax_gradient_over_its_label_component() {
        // p = 1/7, 2/7, 4/7; (p − e_1) / (1 − 2/7)
        let z = [1f32.ln(), 2f32.ln(), 4f32.ln()];
        close(&of_cross_entropy(&z, 1), &[0.2, -1.0, 0.8]);
    }

    #[test]
    fn a_certain_prediction_has_a_gradient() {
        // p − e_0 is 0, 0, 0 in single precision
        close(&of_cross_entropy(&[1e4, 3f32.ln(), 0.0], 0), &[-1.0, 0.75, 0.25]);
    }

    #[test]
    fn of_two_classes_the_other_takes_all() {
        assert_eq!(of_cross_entropy(&[3.0, -3.0], 0), [-1.0, 1.0]);
        assert_eq!(of_cross_entropy(&[3.0, -3.0], 1), [1.0, -1.0]);
    }

    #[test]
    fn one_class_alone_has_no_gradient() {
        assert_eq!(of_cross_entropy(&[5.0], 0), [0.0]);
    }

    #[test]
    fn it_is_the_sigmoid_gradient_over_its_largest_component() {
        // σ = 1/2, 3/4, 1/4: σ − t = −1/2, 3/4, −3/4
        let z = [0.0, 3f32.ln(), -3f32.ln()];
        close(&of_binary_cross_entropy(&z, &[1, 0, 1]), &[-2.0 / 3.0, 1.0, -1.0]);
    }

    #[test]
    fn a_certain_set_has_a_gradient() {
        // σ(−z) is e^−z here, and underflows
        let z = [2000.0, -2001.0, 2000.0];
        close(&of_binary_cross_entropy(&z, &[1, 0, 1]), &[-1.0, (-1f64).exp(), -1.0]);
    }

    #[test]
    fn each_image_has_its_row() {
        let z = [0.0, 0.0, 0.0, 0.0];
        let single = logit_gradient(&z, 2, &Target::Single(&[0, 1]));
        assert_eq!(single, [-1.0, 1.0, 1.0, -1.0]);
        let multi =
            logit_gradient(&z, 2, &Target::Multi { classes: 2, hot: &[0, 0, 1, 0] });
        assert_eq!(multi, [1.0, 1.0, -1.0, 1.0]);
    }
}
