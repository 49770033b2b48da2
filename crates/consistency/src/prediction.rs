use ops::softmax;

/// The true label of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    /// Its class.
    Single(usize),
    /// 1 for each class it has, else 0; length K.
    Multi(&'a [u8]),
}

/// How a prediction compares with the true label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// The class in question: the true one, or of a set the predicted one.
    pub label: usize,
    /// The predicted class is the true one, or in the set.
    pub correct: bool,
    /// Cross entropy L, or the mean over the classes of the binary ones.
    pub loss: f32,
    /// Probability of `label`.
    pub confidence: f32,
    /// Entropy of the probabilities in nats, or the mean over the classes of theirs.
    pub entropy: f32,
}

/// Compares one image's logits with its label.
///
/// ```text
/// one class:  p = softmax(z)    L = −ln p_y                  H = −Σ p_k ln p_k
/// a set t:    p = σ(z)          L = mean of BCE(z_k, t_k)    H = mean of H(p_k)
/// ```
///
/// Of a set, the paper (section III-D) considers the class of the highest confidence
/// alone: it is `label`, and the prediction is correct if it is in the set.
///
/// # Shapes
///
/// - `logits`: `[K]`
/// - `predicted`: the class of the greatest logit
///
/// # Panics
///
/// If the label or the prediction is not one of the K classes.
///
/// # Examples
///
/// ```
/// use consistency::{Label, judge};
///
/// let logits = [0.0, 3f32.ln()]; // p = 1/4, 3/4
/// let wrong = judge(&logits, 1, Label::Single(0));
/// assert!(!wrong.correct);
/// assert_eq!(wrong.confidence, 0.25);
/// assert!((wrong.loss - 4f32.ln()).abs() < 1e-6);
///
/// let set = judge(&logits, 1, Label::Multi(&[1, 1])); // p = 1/2, 3/4
/// assert_eq!((set.label, set.correct), (1, true));
/// assert!((set.confidence - 0.75).abs() < 1e-6);
/// assert!((set.loss - (2f32.ln() + (4f32 / 3.0).ln()) / 2.0).abs() < 1e-6);
/// ```
pub fn judge(logits: &[f32], predicted: usize, label: Label<'_>) -> Prediction {
    assert!(predicted < logits.len(), "a prediction is none of the classes");
    match label {
        Label::Single(label) => Prediction {
            label,
            correct: label == predicted,
            loss: softmax::cross_entropy(logits, label),
            confidence: softmax::softmax(logits)[label],
            entropy: softmax::entropy(logits),
        },
        Label::Multi(hot) => Prediction {
            label: predicted,
            correct: hot[predicted] != 0,
            loss: softmax::bce(logits, hot),
            confidence: softmax::sigmoid(logits[predicted]),
            entropy: softmax::binary_entropy(logits),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::LN_2;

    use super::*;

    #[test]
    fn entropy_of_equal_chances() {
        let p = judge(&[7.0; 4], 0, Label::Single(2));
        assert!((p.entropy - 2.0 * LN_2).abs() < 1e-6, "{p:?}");
        assert!((p.loss - 2.0 * LN_2).abs() < 1e-6, "{p:?}");
        assert_eq!(p.confidence, 0.25);
        let p = judge(&[0.0; 4], 0, Label::Multi(&[1, 0, 0, 1]));
        assert!((p.entropy - LN_2).abs() < 1e-6, "{p:?}");
        assert!((p.loss - LN_2).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn a_certain_prediction_stays_finite() {
        let p = judge(&[1e4, -1e4], 0, Label::Single(1));
        assert_eq!((p.loss, p.confidence, p.entropy), (2e4, 0.0, 0.0));
        let p = judge(&[1e4, -1e4], 0, Label::Multi(&[0, 0]));
        assert_eq!((p.correct, p.loss, p.confidence, p.entropy), (false, 5e3, 1.0, 0.0));
    }

    #[test]
    fn a_set_is_judged_by_its_most_confident_class() {
        let p = judge(&[-1.0, 2.0, 1.0], 1, Label::Multi(&[1, 0, 1]));
        assert_eq!((p.label, p.correct), (1, false));
        let p = judge(&[-1.0, 2.0, 1.0], 1, Label::Multi(&[0, 1, 0]));
        assert_eq!((p.label, p.correct), (1, true));
    }
}
