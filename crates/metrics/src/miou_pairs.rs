use crate::{Pair, miou::mean};

/// Mean intersection over union of all (image, present class) pairs.
///
/// Every pair counts alike, so frequent classes weigh more than in [`miou`](crate::miou()).
///
/// # Examples
///
/// ```
/// use metrics::{Localisation, miou_pairs};
///
/// let mut shapes = Localisation::new(2);
/// shapes.add(0, 0, &[1.0, 0.0], &[1, 0]); // IoU 1
/// shapes.add(1, 0, &[1.0, 0.0], &[0, 1]); // IoU 0
/// shapes.add(2, 0, &[0.0, 1.0], &[0, 1]); // IoU 1
/// shapes.add(2, 1, &[1.0, 1.0], &[2, 0]); // IoU 1/2
/// assert_eq!(miou_pairs(shapes.pairs()), Some(0.625));
/// ```
pub fn miou_pairs(pairs: &[Pair]) -> Option<f64> {
    mean(pairs.iter().map(|pair| pair.overlap.iou()))
}
