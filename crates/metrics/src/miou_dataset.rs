use crate::{Pair, miou::mean_over_classes, overlap::ratio};

/// Intersection over union accumulated over the data set, per class, then averaged over
/// the classes: how VOC scores segmentation (Everingham et al., IJCV 2010), over the
/// images that show the class.
///
/// ```text
/// miou_dataset = mean over classes c of (Σ_p intersection_p / Σ_p union_p)
/// ```
///
/// Large objects weigh more than small ones. Unlike VOC's score it never sees a class's
/// map of an image without that class: nothing is explained there.
///
/// # Examples
///
/// ```
/// use metrics::{Localisation, miou_dataset};
///
/// let mut shapes = Localisation::new(1);
/// shapes.add(0, 0, &[1.0, 1.0, 1.0], &[1, 1, 1]); // 3 of 3
/// shapes.add(1, 0, &[1.0, 0.0, 0.0], &[0, 0, 1]); // 0 of 2
/// assert_eq!(miou_dataset(shapes.pairs()), Some(0.6));
/// ```
pub fn miou_dataset(pairs: &[Pair]) -> Option<f64> {
    mean_over_classes(pairs, |pairs| {
        let intersection = pairs.iter().map(|pair| pair.overlap.intersection).sum();
        let union = pairs.iter().map(|pair| pair.overlap.union).sum();
        Some(ratio(intersection, union))
    })
}
