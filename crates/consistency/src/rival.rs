//! Weights that look at the prediction alone: what the paper compares itself with.

/// Hard negative mining (Shrivastava et al., 2016): the samples of the highest losses weigh 1,
/// all others 0.
///
/// Of equal losses the earlier sample is the harder one. The article chooses within a batch,
/// here it is the whole training set, as every weight of a round is.
///
/// # Shapes
///
/// - `loss`: `[N]`; NaN is the highest of all
/// - `fraction`: in (0, 1\]; at least one sample is chosen of any
///
/// # Examples
///
/// ```
/// assert_eq!(consistency::hard_negative(&[0.5, 2.0, 0.1, 2.0], 0.5), [0.0, 1.0, 0.0, 1.0]);
/// assert_eq!(consistency::hard_negative(&[0.5, 2.0, 0.1, 2.0], 0.25), [0.0, 1.0, 0.0, 0.0]);
/// ```
pub fn hard_negative(loss: &[f32], fraction: f64) -> Vec<f32> {
    let hard = (fraction * loss.len() as f64).round().max(1.0) as usize;
    let mut order: Vec<usize> = (0..loss.len()).collect();
    // x86 makes NaN with a sign, which `total_cmp` takes for the lowest
    let rank =
        |sample: usize| if loss[sample].is_nan() { f32::NAN.abs() } else { loss[sample] };
    order.sort_by(|&a, &b| rank(b).total_cmp(&rank(a)).then(a.cmp(&b)));
    let mut weights = vec![0.0; loss.len()];
    for sample in order.into_iter().take(hard) {
        weights[sample] = 1.0;
    }
    weights
}

/// The factor of the focal loss (Lin et al., 2017), with p the probability of the label; where
/// that is NaN it is taken as 0, so that the sample is among the hardest.
///
/// ```text
/// (1 − p)^γ
/// ```
///
/// # Examples
///
/// ```
/// assert_eq!(consistency::focal(0.75, 2.0), 0.0625);
/// ```
pub fn focal(confidence: f32, gamma: f64) -> f32 {
    let p = if confidence.is_nan() { 0.0 } else { f64::from(confidence) };
    (1.0 - p).max(0.0).powf(gamma) as f32
}

/// How a class is pulled: the sums of the gradients by its logit, up where it is the label and
/// down where another class is (Tan et al., 2021).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pull {
    /// Σ of 1 − p over the samples of the class.
    pub up: f64,
    /// Σ of p over the samples of all other classes.
    pub down: f64,
}

/// The scale s of the equalized focal loss; its authors' choice.
const SCALE: f64 = 8.0;

impl Pull {
    /// The exponent of the class in the equalized focal loss (Li et al., 2022).
    ///
    /// ```text
    /// γ_j = γ + s (1 − g_j),    g_j = up / down, at most 1,    s = 8
    /// ```
    ///
    /// A class that is pulled down more than up, as a rare one is, is focused more.
    ///
    /// # Examples
    ///
    /// ```
    /// use consistency::Pull;
    ///
    /// assert_eq!(Pull { up: 1.0, down: 4.0 }.gamma(2.0), 8.0);
    /// assert_eq!(Pull { up: 4.0, down: 1.0 }.gamma(2.0), 2.0);
    /// assert_eq!(Pull::default().gamma(2.0), 2.0);
    /// ```
    pub fn gamma(self, gamma: f64) -> f64 {
        let ratio = if self.down > self.up { self.up / self.down } else { 1.0 };
        gamma + SCALE * (1.0 - ratio)
    }
}

/// The factor of the equalized focal loss (Li et al., 2022), with `γ_j` of [`Pull::gamma`].
///
/// ```text
/// γ_j / γ · (1 − p)^γ_j
/// ```
///
/// # Examples
///
/// ```
/// // a class that is focused twice as much
/// assert_eq!(consistency::equalized_focal(0.5, 4.0, 2.0), 0.125);
/// assert_eq!(consistency::equalized_focal(0.5, 2.0, 2.0), consistency::focal(0.5, 2.0));
/// ```
pub fn equalized_focal(confidence: f32, gamma_of_class: f64, gamma: f64) -> f32 {
    (gamma_of_class / gamma * f64::from(focal(confidence, gamma_of_class))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_the_hardest_whatever_its_sign() {
        let loss = [1.0, -f32::NAN, f32::INFINITY, f32::NAN];
        assert_eq!(hard_negative(&loss, 0.5), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(focal(f32::NAN, 2.0), 1.0);
        assert_eq!(equalized_focal(-f32::NAN, 4.0, 2.0), 2.0);
    }

    #[test]
    fn at_least_one_sample_is_hard() {
        assert_eq!(hard_negative(&[1.0, 2.0, 3.0], 0.01), [0.0, 0.0, 1.0]);
        assert_eq!(hard_negative(&[1.0, 2.0, 3.0], 1.0), [1.0; 3]);
        assert!(hard_negative(&[], 0.5).is_empty());
    }

    #[test]
    fn of_equal_losses_the_earlier_is_harder() {
        assert_eq!(hard_negative(&[1.0; 4], 0.5), [1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_certain_sample_counts_nothing_and_a_hopeless_one_all() {
        assert_eq!(focal(1.0, 2.0), 0.0);
        assert_eq!(focal(0.0, 2.0), 1.0);
        assert_eq!(focal(0.25, 0.0), 1.0);
        // a rounding error above 1 is none
        assert_eq!(focal(1.000_000_1, 0.5), 0.0);
    }
}
