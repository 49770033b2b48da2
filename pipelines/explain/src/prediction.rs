//! A prediction in words.

use artifact::LabelKind;
use ops::softmax::{sigmoid, softmax};

/// How many classes are named.
const NAMED: usize = 3;

/// The likeliest classes with their probabilities, the predicted one first.
///
/// Classes that exclude one another share 100 %; of a set each has its own.
pub(crate) fn line(
    classes: &[String],
    logits: &[f32],
    labels: Option<LabelKind>,
) -> String {
    let probability = match labels {
        Some(LabelKind::Multi) => logits.iter().copied().map(sigmoid).collect(),
        Some(LabelKind::Single) | None => softmax(logits),
    };
    let mut order: Vec<usize> = (0..classes.len()).collect();
    // stable: the first of equals is the predicted one
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let named: Vec<_> = order
        .into_iter()
        .take(NAMED)
        .map(|class| format!("{} {:.1} %", classes[class], 100.0 * probability[class]))
        .collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["cat", "dog", "cow", "sheep"].map(String::from).to_vec()
    }

    #[test]
    fn the_three_likeliest_are_named() {
        // exp: 1, 6, 2, 1
        let logits = [0.0, 6f32.ln(), 2f32.ln(), 0.0];
        let expected = "dog 60.0 %, cow 20.0 %, cat 10.0 %";
        assert_eq!(line(&names(), &logits, Some(LabelKind::Single)), expected);
        assert_eq!(line(&names(), &logits, None), expected);
    }

    #[test]
    fn of_a_set_each_class_has_its_own_probability() {
        let logits = [0.0, 3f32.ln(), -(3f32.ln()), -50.0];
        let expected = "dog 75.0 %, cat 50.0 %, cow 25.0 %";
        assert_eq!(line(&names(), &logits, Some(LabelKind::Multi)), expected);
    }

    #[test]
    fn fewer_classes_are_all_named() {
        assert_eq!(line(&names()[..1], &[2.0], None), "cat 100.0 %");
    }
}
