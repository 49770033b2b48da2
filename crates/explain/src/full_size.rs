/// Brings a normalised map to the size of its image, as pytorch-grad-cam 1.5.5 does.
///
/// Bilinear with half-pixel centres and no antialiasing (`cv2.resize`), then min-max once
/// more: interpolation between cells flattens the peak, and g is to reach 1 again. The
/// library does it in this order: min-max at native resolution, resize
/// (`scale_cam_image(cam, target_size)`), min-max (`aggregate_multi_layers`). So g(f(x))
/// of Eq. (1), which "shares the same image size with x", is this.
///
/// A constant map becomes zeros.
///
/// # Shapes
///
/// - `map`: `[h, w]`
/// - result: `[H, W]`
///
/// # Examples
///
/// ```
/// let map = explain::full_size(&[0.0, 1.0], (1, 2), (1, 4));
/// for (value, expected) in map.iter().zip([0.0, 0.25, 0.75, 1.0]) {
///     assert!((value - expected).abs() < 1e-6);
/// }
/// ```
pub fn full_size(map: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    ops::resize::full_size(map, from, to)
}

/// What of an image Eq. (1) protects, at the map's own size: what its map says, or nothing at all.
///
/// A map that is not ok (flat, or not finite) says of no place that it matters. Such an image
/// is pushed everywhere; it has no consistency, whatever becomes of it.
///
/// # Shapes
///
/// - `map`, result: `[h, w]`
///
/// # Examples
///
/// ```
/// assert_eq!(explain::protection(&[0.0, 1.0], true), [0.0, 1.0]);
/// assert_eq!(explain::protection(&[0.0, 1.0], false), [0.0, 0.0]);
/// ```
pub fn protection(map: &[f32], ok: bool) -> Vec<f32> {
    if ok { map.to_vec() } else { vec![0.0; map.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_smoothed_reaches_1_again() {
        // half-pixel centres: 0.25, 0.75 of the peak at the best, before min-max
        let map = full_size(&[0.0, 1.0, 0.0], (1, 3), (1, 6));
        let max = map.iter().copied().fold(0.0, f32::max);
        assert!((max - 1.0).abs() < 1e-6, "{max}");
    }

    #[test]
    fn a_constant_map_becomes_zeros() {
        assert_eq!(full_size(&[0.5; 4], (2, 2), (3, 3)), [0.0; 9]);
    }
}
