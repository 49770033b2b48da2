//! Range and norm of a resized map, from the map itself.

use super::{Point, mix, points};

/// Least and greatest value of what [`bilinear`](super::bilinear) gives, which is not made.
///
/// Between four neighbouring values it is linear in either direction, so that, but for rounding,
/// none of its points between them is beyond the outermost ones; these alone are computed.
///
/// # Shapes
///
/// - `values`: `from` = (height, width), row-major
///
/// # Panics
///
/// If `values` is not of size `from`, or a size is zero.
///
/// # Examples
///
/// ```
/// // 0, 1, 3, 3, 1, 0: the peak is between two points
/// assert_eq!(ops::resize::range(&[0.0, 4.0, 0.0], (1, 3), (1, 6)), (0.0, 3.0));
/// ```
pub fn range(values: &[f32], from: (usize, usize), to: (usize, usize)) -> (f32, f32) {
    check(values.len(), from, to);
    let (rows, columns) = (outermost(from.0, to.0), outermost(from.1, to.1));
    let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
    for row in &rows {
        let [below, above] =
            [row.below, row.above].map(|i| &values[i * from.1..][..from.1]);
        for column in &columns {
            let of = |values: &[f32]| {
                mix(values[column.below], values[column.above], column.weight)
            };
            let value = mix(of(below), of(above), row.weight);
            (least, greatest) = (least.min(value), greatest.max(value));
        }
    }
    (least, greatest)
}

/// Sum of the squares of what [`bilinear`](super::bilinear) gives, which is not made.
///
/// ```text
/// Σ (R v Cᵀ)² = Σ v ∘ (RᵀR v CᵀC)
/// ```
///
/// where R and C, of which each row has two neighbouring weights, interpolate rows and
/// columns: `RᵀR` and `CᵀC` are symmetric and tridiagonal.
///
/// # Shapes
///
/// - `values`: `from` = (height, width), row-major
///
/// # Panics
///
/// If `values` is not of size `from`, or a size is zero.
///
/// # Examples
///
/// ```
/// // 0, 1, 3, 4, twice
/// assert_eq!(ops::resize::sum_of_squares(&[0.0, 4.0], (1, 2), (2, 4)), 52.0);
/// ```
pub fn sum_of_squares(values: &[f64], from: (usize, usize), to: (usize, usize)) -> f64 {
    check(values.len(), from, to);
    let (rows, columns) = (Squares::of(from.0, to.0), Squares::of(from.1, to.1));
    let row = |i: usize| &values[i * from.1..][..from.1];
    let sum =
        rows.product(from.0, |i, j| columns.product(from.1, |k, l| row(i)[k] * row(j)[l]));
    // rounding may, where fewer points are left than there were; max() would make a zero of NaN
    if sum < 0.0 { 0.0 } else { sum }
}

fn check(len: usize, from: (usize, usize), to: (usize, usize)) {
    assert_eq!(len, from.0 * from.1, "a map of {} by {}", from.0, from.1);
    assert!(len > 0 && to.0 * to.1 > 0, "expected maps, found sizes of zero");
}

/// The points that have no neighbour on one side between the same two of the source.
fn outermost(from: usize, to: usize) -> Vec<Point> {
    let points: Vec<Point> = points(from, to).collect();
    let is_same =
        |i: usize, j: usize| points.get(j).is_some_and(|p| p.below == points[i].below);
    let is_inner = |i: usize| i > 0 && is_same(i, i - 1) && is_same(i, i + 1);
    (0..points.len()).filter(|&i| !is_inner(i)).map(|i| points[i]).collect()
}

/// `RᵀR` of the R that interpolates.
struct Squares {
    diagonal: Vec<f64>,
    /// Beside the diagonal, on either side.
    beside: Vec<f64>,
}

impl Squares {
    fn of(from: usize, to: usize) -> Self {
        let (mut diagonal, mut beside) = (vec![0.0; from], vec![0.0; from]);
        for Point { below, above, weight } in points(from, to) {
            let (a, b) = (f64::from(1.0 - weight), f64::from(weight));
            if above == below {
                diagonal[below] += (a + b) * (a + b);
            } else {
                diagonal[below] += a * a;
                diagonal[above] += b * b;
                beside[below] += a * b;
            }
        }
        Self { diagonal, beside }
    }

    /// `Σ (RᵀR)[i, j] f(i, j)`.
    fn product(&self, len: usize, f: impl Fn(usize, usize) -> f64) -> f64 {
        let diagonal = (0..len).map(|i| self.diagonal[i] * f(i, i));
        let beside = (1..len).map(|i| self.beside[i - 1] * (f(i - 1, i) + f(i, i - 1)));
        diagonal.sum::<f64>() + beside.sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::bilinear;

    #[test]
    fn both_are_those_of_the_map_that_is_made() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.3
        };
        let sizes = [
            ((7, 7), (224, 224)),
            ((3, 5), (10, 8)),
            ((4, 4), (4, 4)),
            ((1, 1), (2, 3)),
            ((2, 9), (64, 9)),
            // fewer points than there were
            ((5, 8), (2, 3)),
            ((6, 1), (4, 2)),
        ];
        for (from, to) in sizes {
            let values: Vec<f32> = (0..from.0 * from.1).map(|_| random()).collect();
            let made = bilinear(&values, from, to);
            let least = made.iter().copied().fold(f32::INFINITY, f32::min);
            let greatest = made.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let found = range(&values, from, to);
            let distance = (found.0 - least).abs().max((found.1 - greatest).abs());
            assert!(
                distance <= 1e-7,
                "{from:?} {to:?}: {found:?}, not {least} and {greatest}"
            );
            let sum: f64 = made.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let found = sum_of_squares(&values, from, to);
            assert!(
                (found - sum).abs() <= 1e-6 * sum,
                "{from:?} {to:?}: {found}, not {sum}"
            );
        }
    }

    #[test]
    fn a_sum_is_never_less_than_nothing() {
        // one point, in the middle of values that cancel: −1.4·10⁻¹⁷ by the order of the sums
        assert_eq!(sum_of_squares(&[0.1, -0.9, -0.9, 1.7], (2, 2), (1, 1)), 0.0);
        assert!(sum_of_squares(&[0.1, f64::NAN], (1, 2), (1, 4)).is_nan());
    }
}
