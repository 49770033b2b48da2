use crate::Pair;

/// Mean over the classes of the mean intersection over union of their pairs: the paper's
/// interpretability score (section IV-A, Table I).
///
/// ```text
/// IoU_p = |{map > 0.5} ∩ mask| / |{map > 0.5} ∪ mask|,    p = (image, present class)
/// miou  = mean over classes c of (mean over the pairs of c of IoU_p)
/// ```
///
/// The paper says "mIoU" and not how it averages. Classes count alike, however many images
/// show them; a class that no mask shows has no say.
///
/// # Examples
///
/// ```
/// use metrics::{Localisation, miou};
///
/// let mut shapes = Localisation::new(2);
/// shapes.add(0, 0, &[1.0, 0.0], &[1, 0]); // class 0: IoU 1
/// shapes.add(1, 0, &[1.0, 0.0], &[0, 1]); // class 0: IoU 0
/// shapes.add(2, 1, &[1.0, 1.0], &[2, 2]); // class 1: IoU 1
/// assert_eq!(miou(shapes.pairs()), Some(0.75));
/// ```
pub fn miou(pairs: &[Pair]) -> Option<f64> {
    mean_over_classes(pairs, |pairs| mean(pairs.iter().map(|pair| pair.overlap.iou())))
}

/// Mean over the classes that occur of a measure of their pairs.
pub(crate) fn mean_over_classes(
    pairs: &[Pair],
    measure: impl Fn(&[&Pair]) -> Option<f64>,
) -> Option<f64> {
    let mut sorted: Vec<&Pair> = pairs.iter().collect();
    sorted.sort_by_key(|pair| pair.class);
    mean(sorted.chunk_by(|a, b| a.class == b.class).filter_map(measure))
}

/// Arithmetic mean; `None` of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, n), value| (sum + value, n + 1));
    (count > 0).then(|| sum / count as f64)
}
