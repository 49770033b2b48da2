use crate::overlap::inside;

/// Thresholds are multiples of 1 / `STEPS`, as in the authors' evaluation.
const STEPS: usize = 1000;

/// Pixels of the data set by the map's value, from which pixel average precision follows
/// (`PxAP`; Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right",
/// CVPR 2020, section 4.2).
///
/// ```text
/// P(τ) = |{map ≥ τ} ∩ mask| / |{map ≥ τ}|,    R(τ) = |{map ≥ τ} ∩ mask| / |mask|
/// PxAP = Σ_l P(τ_l) (R(τ_l) − R(τ_{l−1})),    τ = 1, 0.999, …, 0.001, 0
/// ```
///
/// The pixels of all pairs are pooled. No threshold has to be chosen, and a random map
/// scores the share of the mask's pixels.
#[derive(Clone, Debug)]
pub struct PixelCurve {
    /// Pixels of the class with a value in [i / STEPS, (i + 1) / STEPS); the last bin is 1.
    on: Vec<u64>,
    /// The same, of the pixels that are not of the class and not void.
    off: Vec<u64>,
}

impl Default for PixelCurve {
    fn default() -> Self {
        Self { on: vec![0; STEPS + 1], off: vec![0; STEPS + 1] }
    }
}

impl PixelCurve {
    /// Adds the pixels of a map.
    ///
    /// # Shapes
    ///
    /// - `map`: `[H, W]` in 0..1 (values outside are clamped); `mask`: `[H, W]`, see
    ///   [`overlap`](crate::overlap())
    pub fn add(&mut self, map: &[f32], mask: &[u8], class: usize) {
        for (&value, &pixel) in map.iter().zip(mask) {
            let Some(inside) = inside(pixel, class) else { continue };
            // saturating: below 0 and NaN are 0
            let bin = ((f64::from(value) * STEPS as f64) as usize).min(STEPS);
            *if inside { &mut self.on[bin] } else { &mut self.off[bin] } += 1;
        }
    }

    /// Adds the pixels of another curve.
    pub fn merge(&mut self, other: &Self) {
        let pairs = self.on.iter_mut().zip(&other.on);
        for (mine, theirs) in pairs.chain(self.off.iter_mut().zip(&other.off)) {
            *mine += theirs;
        }
    }

    /// `PxAP` of the pixels so far; `None` if none is of the class.
    ///
    /// # Examples
    ///
    /// τ = 1 finds the first pixel (P 1, R 1/2), τ = 0.5 the second (a miss), τ = 0 the
    /// third (P 2/3, R 1).
    ///
    /// ```
    /// let mut curve = metrics::PixelCurve::default();
    /// curve.add(&[1.0, 0.5, 0.0], &[1, 0, 1], 0);
    /// let pxap = curve.average_precision().unwrap();
    /// assert!((pxap - (0.5 * 1.0 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
    /// ```
    pub fn average_precision(&self) -> Option<f64> {
        let positives: u64 = self.on.iter().sum();
        if positives == 0 {
            return None;
        }
        let (mut area, mut hits, mut seen) = (0.0, 0, 0);
        for (&on, &off) in self.on.iter().zip(&self.off).rev() {
            hits += on;
            seen += on + off;
            if on > 0 {
                area += on as f64 / positives as f64 * (hits as f64 / seen as f64);
            }
        }
        Some(area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::average_precision;

    #[test]
    fn on_the_thresholds_it_is_the_average_precision_of_pixels() {
        let map: Vec<f32> = (0..200_u16).map(|i| f32::from(i * 37 % 101) / 125.0).collect();
        let mask: Vec<u8> = (0..200_u16).map(|i| u8::from(i * i % 7 < 3)).collect();
        let mut curve = PixelCurve::default();
        curve.add(&map, &mask, 0);
        let positive: Vec<bool> = mask.iter().map(|&pixel| pixel == 1).collect();
        let expected = average_precision(&map, &positive).unwrap();
        assert!((curve.average_precision().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn void_pixels_count_nowhere() {
        let mut curve = PixelCurve::default();
        curve.add(&[1.0, 0.7], &[255, 1], 0);
        assert_eq!(curve.average_precision(), Some(1.0));
    }

    #[test]
    fn merged_curves_are_the_curve_of_all_pixels() {
        let (mut a, mut b, mut all) =
            (PixelCurve::default(), PixelCurve::default(), PixelCurve::default());
        a.add(&[1.0, 0.3], &[0, 1], 0);
        b.add(&[0.6, 0.1], &[1, 0], 0);
        all.add(&[1.0, 0.3, 0.6, 0.1], &[0, 1, 1, 0], 0);
        a.merge(&b);
        assert_eq!(a.average_precision(), all.average_precision());
    }

    #[test]
    fn without_the_class_there_is_none() {
        let mut curve = PixelCurve::default();
        curve.add(&[1.0, 0.3], &[0, 2], 0);
        assert_eq!(curve.average_precision(), None);
    }
}
