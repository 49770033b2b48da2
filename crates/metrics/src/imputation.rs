use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use crate::conjugate_gradient;

/// Standard deviation of the noise on imputed pixels, of 0..1: the authors' 0.01.
const NOISE: f64 = 0.01;

/// Weight of a neighbour beside, above or below, and of one across a corner.
const BESIDE: f64 = 1.0 / 6.0;
const ACROSS: f64 = 1.0 / 12.0;

/// Noisy linear imputation of pixels (Rong et al., "A Consistent and Efficient Evaluation
/// Strategy for Attribution Methods", ICML 2022, section 4.2): [`imputed`] and noise.
///
/// ```text
/// x_i ← x_i + 0.01 ε_i,    ε_i normal,    i removed
/// ```
///
/// Without noise a network could tell from the smoothness where pixels were removed. The
/// noise is a function of `seed` and `stream` alone (`ChaCha8`); pytorch-grad-cam draws
/// another each time, and adds 0.01 to the normalised input where this adds it to pixels. As
/// there, values may leave 0..1 by it.
///
/// # Shapes
///
/// As [`imputed`].
///
/// # Panics
///
/// If all pixels are removed.
///
/// # Examples
///
/// ```
/// let removed = [false, true, false];
/// let noisy = |seed| metrics::noisily_imputed(&[0.2, 0.9, 0.4], (1, 3), &removed, seed, 0);
/// assert!((noisy(1)[1] - 0.3).abs() < 0.08);
/// assert_eq!(noisy(1), noisy(1));
/// assert_ne!(noisy(1), noisy(2));
/// ```
pub fn noisily_imputed(
    image: &[f32],
    size: (usize, usize),
    removed: &[bool],
    seed: u64,
    stream: u64,
) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut image = imputed(image, size, removed);
    for channel in image.chunks_exact_mut(removed.len()) {
        for (value, _) in channel.iter_mut().zip(removed).filter(|(_, removed)| **removed) {
            let noise: f64 = StandardNormal.sample(&mut random);
            *value += (NOISE * noise) as f32;
        }
    }
    image
}

/// Linear imputation of pixels: each removed one is the weighted mean of its neighbours,
/// removed or not (Rong et al., ICML 2022, section 4.2).
///
/// ```text
/// x_i = Σ_j w_ij x_j / Σ_j w_ij,    w = 1/6 beside, above and below, 1/12 diagonally
/// ```
///
/// over the neighbours j in the image. Its solution lies between the smallest and the largest
/// pixel that is known, and commutes with the network's normalisation.
///
/// # Shapes
///
/// - `image`: `[C, H, W]`; `size`: (H, W); `removed`: `[H, W]`
/// - result: `[C, H, W]`
///
/// # Panics
///
/// If all pixels are removed.
///
/// # Examples
///
/// Two pixels between 0.0 and 0.9 rise by equal steps.
///
/// ```
/// let x = metrics::imputed(&[0.0, 0.5, 0.5, 0.9], (1, 4), &[false, true, true, false]);
/// assert!((x[1] - 0.3).abs() < 1e-6 && (x[2] - 0.6).abs() < 1e-6);
/// ```
pub fn imputed(image: &[f32], size: (usize, usize), removed: &[bool]) -> Vec<f32> {
    assert!(removed.contains(&false), "some pixel is known");
    let grid = Grid { height: size.0, width: size.1 };
    let unknown =
        grid.bordered(removed.iter().map(|&removed| f64::from(u8::from(removed))));
    // Σ w of the neighbours in the image
    let mut total = grid.weighted(&grid.bordered(removed.iter().map(|_| 1.0)));
    multiply(&mut total, &unknown);

    let equations = |x: &[f64], out: &mut [f64]| {
        grid.weigh(x, out);
        for (i, out) in out.iter_mut().enumerate() {
            *out = total[i] * x[i] - unknown[i] * *out;
        }
    };
    let mut image = image.to_vec();
    for channel in image.chunks_exact_mut(removed.len()) {
        let known = channel.iter().zip(removed);
        let known = known.map(|(&x, &removed)| if removed { 0.0 } else { f64::from(x) });
        let mut right = grid.weighted(&grid.bordered(known));
        multiply(&mut right, &unknown);
        let solution = conjugate_gradient::solve(equations, &right);
        for (place, value) in channel.iter_mut().enumerate().filter(|&(i, _)| removed[i]) {
            *value = solution[grid.at(place)] as f32;
        }
    }
    image
}

/// An image within a border of zeros, one pixel wide: so that all places have neighbours.
///
/// There is an equation for each of them; where the pixel is known it is 0 = 0. Lists of the
/// unknown would need less arithmetic, and more time to look things up.
struct Grid {
    height: usize,
    width: usize,
}

impl Grid {
    /// Where a place of the image is.
    fn at(&self, place: usize) -> usize {
        (place / self.width + 1) * (self.width + 2) + place % self.width + 1
    }

    fn bordered(&self, values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut grid = vec![0.0; (self.height + 2) * (self.width + 2)];
        for (place, value) in values.enumerate() {
            grid[self.at(place)] = value;
        }
        grid
    }

    /// Σ w x of each place's neighbours; 0 on the border.
    fn weighted(&self, x: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; x.len()];
        self.weigh(x, &mut sums);
        sums
    }

    /// [`Self::weighted`] into `sums`, whose border is left as it is.
    fn weigh(&self, x: &[f64], sums: &mut [f64]) {
        let stride = self.width + 2;
        for row in 1..=self.height {
            let line = |row: usize| x[row * stride..][..stride].windows(3);
            let lines = line(row - 1).zip(line(row)).zip(line(row + 1));
            let sums = &mut sums[row * stride + 1..][..self.width];
            for (sum, ((above, here), below)) in sums.iter_mut().zip(lines) {
                let beside = here[0] + here[2] + above[1] + below[1];
                let across = above[0] + above[2] + below[0] + below[2];
                *sum = BESIDE * beside + ACROSS * across;
            }
        }
    }
}

fn multiply(x: &mut [f64], by: &[f64]) {
    for (x, by) in x.iter_mut().zip(by) {
        *x *= by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_nine_is_the_weighted_mean_of_its_neighbours() {
        let mut image: Vec<f32> = (0..9_u8).map(|i| f32::from(i * i)).collect();
        let mut removed = [false; 9];
        removed[4] = true;
        // (1 + 9 + 25 + 49) / 6 + (0 + 4 + 36 + 64) / 12
        image[4] = -7.0;
        let x = imputed(&image, (3, 3), &removed);
        assert!((x[4] - (84.0 / 6.0 + 104.0 / 12.0)).abs() < 1e-5, "{}", x[4]);
    }

    #[test]
    fn a_corner_has_three_neighbours() {
        // [?, 1; 2, 4]: (1/6 · 1 + 1/6 · 2 + 1/12 · 4) / (5/12)
        let x = imputed(&[0.0, 1.0, 2.0, 4.0], (2, 2), &[true, false, false, false]);
        assert!((x[0] - 2.0).abs() < 1e-6, "{}", x[0]);
    }

    #[test]
    fn one_pixel_fills_the_image_and_each_channel_is_its_own() {
        let mut image = vec![0.0; 2 * 16 * 16];
        (image[40], image[256 + 40]) = (0.25, 0.75);
        let mut removed = vec![true; 256];
        removed[40] = false;
        let x = imputed(&image, (16, 16), &removed);
        assert!(x[..256].iter().all(|x| (x - 0.25).abs() < 1e-5));
        assert!(x[256..].iter().all(|x| (x - 0.75).abs() < 1e-5));
    }

    #[test]
    fn known_pixels_stay_and_have_no_noise() {
        let image: Vec<f32> = (0..30_u8).map(|i| f32::from(i * 7 % 11) / 10.0).collect();
        let removed: Vec<bool> = (0..30).map(|i| i % 3 == 0).collect();
        let x = noisily_imputed(&image, (5, 6), &removed, 1, 2);
        for i in 0..30 {
            assert_eq!(x[i] == image[i], !removed[i], "{i}");
        }
    }

    #[test]
    fn the_noise_has_its_deviation_and_no_mean() {
        // a plain image but for what is removed, which is imputed as plain
        let removed: Vec<bool> = (0..100 * 100).map(|i| i % 2 == 0).collect();
        let x = noisily_imputed(&vec![0.5; 100 * 100], (100, 100), &removed, 3, 0);
        let noise: Vec<f64> = x.iter().map(|&x| (f64::from(x) - 0.5) / NOISE).collect();
        let mean = noise.iter().sum::<f64>() / 5e3;
        let square = noise.iter().map(|x| x * x).sum::<f64>() / 5e3;
        // four standard errors of 5000 pixels
        assert!(mean.abs() < 0.057, "{mean}");
        assert!((square - 1.0).abs() < 0.08, "{square}");
    }

    #[test]
    #[should_panic(expected = "some pixel is known")]
    fn something_must_be_known() {
        imputed(&[0.5], (1, 1), &[true]);
    }
}
