use std::{fmt, str::FromStr};

use ops::resize;

use crate::UnknownName;

/// Keeps the division by a map's range finite, as in pytorch-grad-cam 1.5.5.
const EPSILON: f64 = 1e-7;

/// Where the norm of Eq. (3) is taken, which the paper leaves open.
///
/// With ε it decides everything: figures are in ARCHITECTURE.md, Decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Sum of squares over the explainer's native grid `[h, w]`; grows with h·w.
    #[default]
    Grid,
    /// Sum of squares over the image's pixels, the literal reading of the paper.
    Sum,
    /// Mean of squares over the image's pixels.
    Mean,
}

impl Reduction {
    /// All of them, in the order of their names' appearance in the messages.
    pub const ALL: [Self; 3] = [Self::Grid, Self::Sum, Self::Mean];
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grid => "grid",
            Self::Sum => "sum",
            Self::Mean => "mean",
        })
    }
}

impl FromStr for Reduction {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|reduction| reduction.to_string() == name).ok_or_else(
            || UnknownName { expected: "grid, sum or mean", found: name.to_owned() },
        )
    }
}

/// The squared norm ‖g(f(x̂)) − g(f(x))‖² of Eq. (3).
///
/// ```text
/// grid:  Σ over [h, w] of (p − c)²
/// sum:   Σ over [H, W] of (p' − c')²
/// mean:  sum / (HW)
/// ```
///
/// where p' and c' are the maps at full size, as they are shown and as Eq. (1) uses
/// them: up-sampled bilinearly (half-pixel centres), then each `(m − min) / (1e-7 + max)`
/// once more, with max that of `m − min`. Sums are taken in double precision.
///
/// Up-sampling is linear and its weights add to 1, so that p' − c' is the difference of the
/// stretched maps on `[h, w]`, up-sampled: its norm is known without the image's pixels.
///
/// # Shapes
///
/// - `clean`, `perturbed`: `[h, w]`, row-major, min-max normalised
/// - `size`: `(h, w)`; `image_size`: `[H, W]`
///
/// # Panics
///
/// If a map is not of the given size.
///
/// # Examples
///
/// ```
/// use consistency::{Reduction, distance};
///
/// // (1 − 0.5)² + (0 − 1)²
/// let (clean, perturbed) = ([0.5, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]);
/// assert_eq!(distance(&clean, &perturbed, (2, 2), [4, 4], Reduction::Grid), 1.25);
/// ```
pub fn distance(
    clean: &[f32],
    perturbed: &[f32],
    size: (usize, usize),
    image_size: [usize; 2],
    reduction: Reduction,
) -> f64 {
    assert_eq!(clean.len(), size.0 * size.1, "a clean map is not of its size");
    assert_eq!(perturbed.len(), clean.len(), "a perturbed map is not of its size");
    let over_pixels = || {
        let [c, p] = [clean, perturbed].map(|map| stretched(map, size, image_size));
        let differences: Vec<f64> = p.zip(c).map(|(p, c)| p - c).collect();
        resize::sum_of_squares(&differences, size, image_size.into())
    };
    match reduction {
        Reduction::Grid => {
            let pairs = clean.iter().zip(perturbed);
            pairs.map(|(c, p)| (f64::from(*p) - f64::from(*c)).powi(2)).sum()
        }
        Reduction::Sum => over_pixels(),
        Reduction::Mean => over_pixels() / (image_size[0] * image_size[1]) as f64,
    }
}

/// The map by the second min-max, whose range is that of the map at the image's size.
fn stretched(
    map: &[f32],
    size: (usize, usize),
    image_size: [usize; 2],
) -> impl Iterator<Item = f64> {
    let (min, max) = resize::range(map, size, image_size.into());
    let (min, range) = (f64::from(min), f64::from(max) - f64::from(min));
    map.iter().map(move |&m| (f64::from(m) - min) / (EPSILON + range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(
        clean: &[f32],
        perturbed: &[f32],
        size: (usize, usize),
        full: [usize; 2],
    ) -> [f64; 3] {
        Reduction::ALL.map(|r| distance(clean, perturbed, size, full, r))
    }

    #[test]
    fn equal_maps_are_at_no_distance() {
        let map = [0.0, 0.25, 0.5, 1.0];
        assert_eq!(all(&map, &map, (2, 2), [5, 7]), [0.0; 3]);
    }

    #[test]
    fn a_mirrored_map_by_hand() {
        // [0, 1] at four pixels is 0, 1/4, 3/4, 1: two differences of 1, two of 1/2
        let [grid, sum, mean] = all(&[0.0, 1.0], &[1.0, 0.0], (1, 2), [1, 4]);
        assert_eq!(grid, 2.0);
        assert!((sum - 2.5).abs() < 1e-5, "{sum}");
        assert_eq!(mean, sum / 4.0);
    }

    #[test]
    fn the_second_min_max_restores_the_range() {
        // [0, 1, 0] at six pixels is 0, 1/4, 3/4, 3/4, 1/4, 0: its peak fell between two
        // pixels and is stretched back, to 0, 1/3, 1, 1, 1/3, 0;
        // [1, 1, 0] is 1, 1, 1, 3/4, 1/4, 0 and stays
        let [grid, sum, _] = all(&[0.0, 1.0, 0.0], &[1.0, 1.0, 0.0], (1, 3), [1, 6]);
        assert_eq!(grid, 1.0);
        let expected = 1.0 + 4.0 / 9.0 + 1.0 / 16.0 + 1.0 / 144.0;
        assert!((sum - expected).abs() < 1e-5, "{sum}");
    }

    #[test]
    fn the_second_min_max_forgets_an_offset() {
        // [0.5, 1] becomes [0, 1], but for the 1e-7
        let [grid, sum, mean] = all(&[0.0, 1.0], &[0.5, 1.0], (1, 2), [1, 2]);
        assert_eq!(grid, 0.25);
        assert!(sum < 1e-12, "{sum}");
        assert!(mean < 1e-12, "{mean}");
    }

    #[test]
    fn names_are_read_back() {
        for reduction in Reduction::ALL {
            assert_eq!(reduction.to_string().parse(), Ok(reduction));
        }
        let error = "max".parse::<Reduction>().unwrap_err().to_string();
        assert_eq!(error, "expected grid, sum or mean, found `max`");
    }
}
