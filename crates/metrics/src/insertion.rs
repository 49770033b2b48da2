use crate::{curve::changed, relevance::replaced};

/// Standard deviation of the blur, in pixels, and how far it reaches: RISE's 11 × 11 kernel.
const SIGMA: f64 = 5.0;
const REACH: usize = 5;

/// The image at a step of the insertion curve: its most relevant pixels are there, the rest
/// is blurred (Petsiuk et al., "RISE", BMVC 2018, section 4.3).
///
/// ```text
/// x_s = x at the first ⌊s HW / S⌋ places of the order, else blurred x,    S = CURVE_STEPS
/// insertion = area under the curve of p(class | x_s), s = 0 … S
/// ```
///
/// The fewer pixels it takes to show the class, the better they were chosen: higher is better.
///
/// # Shapes
///
/// - `image`, `blurred`: `[C, H, W]`, the latter of [`blurred`]
/// - `order`: `[HW]`, of [`by_relevance`](crate::by_relevance())
/// - result: `[C, H, W]`
///
/// # Examples
///
/// Half of the steps insert half of the pixels.
///
/// ```
/// let order = metrics::by_relevance(&[0.0, 1.0]);
/// let half = metrics::inserted(&[0.3, 0.9], &[0.6, 0.6], &order, metrics::CURVE_STEPS / 2);
/// assert_eq!(half, [0.6, 0.9]);
/// ```
pub fn inserted(image: &[f32], blurred: &[f32], order: &[usize], step: usize) -> Vec<f32> {
    let area = order.len();
    replaced(blurred, image, area, &order[..changed(step, area)])
}

/// The image that insertion starts from: a Gaussian blur of deviation 5 over 11 × 11 pixels.
///
/// ```text
/// y_i = Σ_d k_d x_{i+d} / Σ_d k_d,    k_d = exp(−d² / 50),  |d| ≤ 5, i + d in the image
/// ```
///
/// along rows, then along columns. RISE's code has the same size and deviation, but folds the
/// Gaussian's tails back into its kernel and darkens the border, where it reads zeros.
///
/// # Shapes
///
/// - `image`: `[C, H, W]`; `size`: (H, W)
/// - result: `[C, H, W]`
///
/// # Examples
///
/// A plain colour stays as it is.
///
/// ```
/// let blurred = metrics::blurred(&[0.5; 12], (3, 4));
/// assert!(blurred.iter().all(|value| (value - 0.5).abs() < 1e-6));
/// ```
pub fn blurred(image: &[f32], size: (usize, usize)) -> Vec<f32> {
    let (height, width) = size;
    let along_rows: Vec<f32> = image.chunks_exact(width).flat_map(smooth).collect();
    let mut blurred = vec![0.0; image.len()];
    let area = height * width;
    for (from, to) in along_rows.chunks_exact(area).zip(blurred.chunks_exact_mut(area)) {
        for column in 0..width {
            let line: Vec<f32> = from.iter().skip(column).step_by(width).copied().collect();
            for (row, value) in smooth(&line).into_iter().enumerate() {
                to[row * width + column] = value;
            }
        }
    }
    blurred
}

/// The blur of one line.
fn smooth(line: &[f32]) -> Vec<f32> {
    let at = |i: usize| {
        let first = i.saturating_sub(REACH);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (j, &value) in line.iter().enumerate().take(i + REACH + 1).skip(first) {
            let weight = (-(i.abs_diff(j) as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
            sum += weight * f64::from(value);
            weights += weight;
        }
        (sum / weights) as f32
    };
    (0..line.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CURVE_STEPS, by_relevance};

    #[test]
    fn the_first_step_is_blurred_and_the_last_is_the_image() {
        let (image, blur) = ([0.1, 0.2, 0.3, 0.4], [0.5; 4]);
        let order = by_relevance(&[0.0, 1.0]);
        assert_eq!(inserted(&image, &blur, &order, 0), blur);
        assert_eq!(inserted(&image, &blur, &order, CURVE_STEPS), image);
    }

    #[test]
    fn a_point_spreads_as_far_as_the_kernel_reaches() {
        let mut image = vec![0.0; 15];
        image[7] = 1.0;
        let blurred = blurred(&image, (1, 15));
        assert_eq!((blurred[1], blurred[13]), (0.0, 0.0));
        assert!(blurred[2] > 0.0 && blurred[12] > 0.0);
        // Σ_{|d| ≤ 5} exp(−d² / 50) = 1 + 2 (.9802 + .9231 + .8353 + .7261 + .6065)
        assert!((blurred[7] - 1.0 / 9.1424).abs() < 1e-4, "{}", blurred[7]);
    }

    #[test]
    fn rows_and_columns_are_blurred_alike() {
        let line: Vec<f32> = (0..9_u8).map(|i| f32::from(i * i)).collect();
        assert_eq!(blurred(&line, (1, 9)), blurred(&line, (9, 1)));
    }
}
