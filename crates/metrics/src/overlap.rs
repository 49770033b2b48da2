/// The value of a mask's pixel that is neither object nor background.
pub const VOID: u8 = 255;

/// Pixels that a thresholded map and the mask of one class share and do not.
///
/// Void pixels count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// In both.
    pub intersection: u64,
    /// In either.
    pub union: u64,
    /// Where the map is above the threshold.
    pub map_area: u64,
    /// Where the mask is of the class.
    pub mask_area: u64,
    /// All that are not void.
    pub valid: u64,
}

impl Overlap {
    /// `intersection / union` (Jaccard); 0 when both are empty.
    ///
    /// ```
    /// let overlap = metrics::overlap(&[1.0, 0.6, 0.5, 0.0], &[1, 0, 1, 255], 0, 0.5);
    /// assert_eq!(overlap.iou(), 1.0 / 3.0);
    /// ```
    pub fn iou(&self) -> f64 {
        ratio(self.intersection, self.union)
    }
}

/// Compares `map > threshold` with the mask of `class`.
///
/// # Shapes
///
/// - `map`: `[H, W]`, at the size of the mask, in 0..1
/// - `mask`: `[H, W]`: 0 background, class index + 1, 255 void
///
/// # Examples
///
/// Of the three pixels that are not void the map marks the first two (0.5 is not above
/// 0.5), the mask the first and the third.
///
/// ```
/// let overlap = metrics::overlap(&[1.0, 0.6, 0.5, 0.9], &[1, 0, 1, 255], 0, 0.5);
/// assert_eq!((overlap.intersection, overlap.union, overlap.valid), (1, 3, 3));
/// ```
pub fn overlap(map: &[f32], mask: &[u8], class: usize, threshold: f32) -> Overlap {
    let mut counts = Overlap::default();
    for (&value, &pixel) in map.iter().zip(mask) {
        let Some(inside) = inside(pixel, class) else { continue };
        let above = value > threshold;
        counts.valid += 1;
        counts.map_area += u64::from(above);
        counts.mask_area += u64::from(inside);
        counts.intersection += u64::from(above && inside);
        counts.union += u64::from(above || inside);
    }
    counts
}

/// Whether a mask's pixel is of `class`; `None` if it is void.
pub(crate) fn inside(pixel: u8, class: usize) -> Option<bool> {
    (pixel != VOID).then(|| usize::from(pixel) == class + 1)
}

/// `a / b`, and 0 of nothing.
pub(crate) fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_pixels_count_nowhere() {
        let all_void = overlap(&[1.0, 0.0], &[VOID, VOID], 0, 0.5);
        assert_eq!(all_void, Overlap::default());
        assert_eq!(all_void.iou(), 0.0);
    }

    #[test]
    fn another_class_is_background() {
        let counts = overlap(&[1.0, 1.0, 0.0], &[1, 2, 2], 1, 0.5);
        assert_eq!((counts.intersection, counts.union), (1, 3));
        assert_eq!((counts.map_area, counts.mask_area), (2, 2));
    }
}
