//! Changing the size and the range of a map.

mod norm;

pub use norm::{range, sum_of_squares};

/// Added to a map's range, so that a constant map does not divide by 0.
pub const RANGE_EPSILON: f32 = 1e-7;

/// Bilinear interpolation with half-pixel centres and without antialiasing.
///
/// ```text
/// s = max((i + 1/2) h / H - 1/2, 0),    k = floor(s),    t = s - k
/// row i = (1 - t) row k + t row min(k + 1, h - 1)
/// ```
///
/// and so for columns: `interpolate(mode="bilinear", align_corners=False)` of `PyTorch`,
/// in its f32 arithmetic.
///
/// # Shapes
///
/// - `values`: `from` = (height, width), row-major
/// - result: `to` = (height, width), row-major
///
/// # Panics
///
/// If `values` is not of size `from`, or a size is zero while the other is not.
///
/// # Examples
///
/// ```
/// let y = ops::resize::bilinear(&[0.0, 4.0], (1, 2), (2, 4));
/// assert_eq!(y, [0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0]);
/// ```
pub fn bilinear(values: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    assert_eq!(values.len(), from.0 * from.1, "a map of {} by {}", from.0, from.1);
    if from == to {
        return values.to_vec();
    }
    let columns: Vec<Point> = points(from.1, to.1).collect();
    // rows as wide as the result's, of which each of the result's rows mixes two
    let mut wide = Vec::with_capacity(from.0 * to.1);
    for row in values.chunks_exact(from.1.max(1)) {
        wide.extend(columns.iter().map(|c| mix(row[c.below], row[c.above], c.weight)));
    }
    let mut resized = Vec::with_capacity(to.0 * to.1);
    for row in points(from.0, to.0) {
        let below = &wide[row.below * to.1..][..to.1];
        let above = &wide[row.above * to.1..][..to.1];
        resized.extend(below.iter().zip(above).map(|(&a, &b)| mix(a, b, row.weight)));
    }
    resized
}

/// Stretches a map to \[0, 1\], `(map - min) / (1e-7 + max - min)`; returns `max - min`.
///
/// # Examples
///
/// ```
/// let mut map = [2.0, 4.0, 10.0];
/// assert_eq!(ops::resize::min_max(&mut map), 8.0);
/// assert_eq!(map, [0.0, 0.25, 1.0]);
/// ```
pub fn min_max(map: &mut [f32]) -> f32 {
    let (min, max) =
        map.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &v| {
            (min.min(v), max.max(v))
        });
    let range = max - min;
    for value in map {
        *value = (*value - min) / (RANGE_EPSILON + range);
    }
    range
}

/// [`bilinear`], then [`min_max`]: interpolation flattens the peak, which is to reach 1 again.
///
/// # Shapes
///
/// - `map`: `from` = (height, width), row-major
/// - result: `to` = (height, width), row-major
///
/// # Panics
///
/// As [`bilinear`].
///
/// # Examples
///
/// ```
/// assert_eq!(ops::resize::full_size(&[0.0, 4.0], (1, 2), (1, 4)), [0.0, 0.25, 0.75, 1.0]);
/// ```
pub fn full_size(map: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let mut map = bilinear(map, from, to);
    min_max(&mut map);
    map
}

/// Where a point of the result lies between two of the source.
#[derive(Clone, Copy)]
struct Point {
    below: usize,
    above: usize,
    /// Of `above`.
    weight: f32,
}

fn points(from: usize, to: usize) -> impl Iterator<Item = Point> {
    let scale = from as f32 / to as f32;
    (0..to).map(move |i| {
        let at = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
        let below = (at as usize).min(from - 1);
        Point { below, above: (below + 1).min(from - 1), weight: at - below as f32 }
    })
}

fn mix(a: f32, b: f32, weight: f32) -> f32 {
    (1.0 - weight) * a + weight * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_gives_the_same_map() {
        let map = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(bilinear(&map, (2, 3), (2, 3)), map);
    }

    #[test]
    fn one_value_fills_the_map() {
        assert_eq!(bilinear(&[0.3], (1, 1), (3, 5)), [0.3; 15]);
    }

    #[test]
    fn a_column_is_interpolated_like_a_row() {
        let row = bilinear(&[3.0, 1.0, 2.0], (1, 3), (1, 7));
        assert_eq!(bilinear(&[3.0, 1.0, 2.0], (3, 1), (7, 1)), row);
    }

    #[test]
    fn a_smaller_map_is_sampled_and_not_averaged() {
        // 4 to 2: centres at 0.5 and 2.5
        assert_eq!(bilinear(&[0.0, 2.0, 4.0, 8.0], (1, 4), (1, 2)), [1.0, 6.0]);
        // 3 to 1: the middle
        assert_eq!(bilinear(&[9.0, 5.0, 1.0], (1, 3), (1, 1)), [5.0]);
    }
}
