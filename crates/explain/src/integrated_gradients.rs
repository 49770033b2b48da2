use std::f64::consts::PI;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    pixel_gradient::{magnitude, pixels, summed},
};

/// Points on the way from black to the image.
const STEPS: usize = 50;

/// Integrated Gradients (Sundararajan et al., ICML 2017).
///
/// ```text
/// attribution = x ∘ ∫_0^1 ∂z[target] / ∂x (α x) dα,    map = Σ over colours of |attribution|
/// ```
///
/// in the size of the image, from a black one, by 50 Gauss-Legendre points as Captum has it.
#[derive(Clone, Copy, Debug)]
pub struct IntegratedGradients {
    /// Images that go through the network together.
    pub(crate) at_a_time: usize,
}

impl IntegratedGradients {
    /// The attribution of every pixel, `[B, 3, H, W]`; those of an image sum to about what its
    /// logit is more than that of black.
    fn attribution(self, subject: &Subject<'_>, target: &[i64]) -> Result<Vec<f64>> {
        let points = gauss_legendre(STEPS);
        let work = (STEPS, self.at_a_time);
        let weight = |step: usize| points[step].1;
        let mut sums = summed(subject, target, work, weight, |step, x, out| {
            let alpha = points[step].0 as f32;
            out.iter_mut().zip(x).for_each(|(out, x)| *out = alpha * x);
        })?;
        sums.iter_mut().zip(pixels(subject)?).for_each(|(sum, x)| *sum *= f64::from(x));
        Ok(sums)
    }
}

impl Explainer for IntegratedGradients {
    fn name(&self) -> &'static str {
        "integrated-gradients"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { forward: 1 + STEPS, backward: STEPS, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        magnitude(subject, &self.attribution(subject, target)?)
    }
}

/// Points in (0, 1) and their weights, whose sum is 1: what integrates polynomials up to degree
/// 2n − 1 exactly.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let point = |i: usize| {
        // a root of the Legendre polynomial, by Newton's method from where it about is
        let mut x = (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, before) = legendre(n, x);
            slope = n as f64 * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        let weight = 2.0 / ((1.0 - x * x) * slope * slope);
        (0.5 * (1.0 - x), 0.5 * weight)
    };
    (0..n).map(point).collect()
}

/// The Legendre polynomials of degree n and n − 1 at `x`.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut value, mut before) = (1.0, 0.0);
    for k in 0..n {
        let k = k as f64;
        (value, before) = (((2.0 * k + 1.0) * x * value - k * before) / (k + 1.0), value);
    }
    (value, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_are_at_a_root_of_three() {
        let [(a, v), (b, w)] = gauss_legendre(2).try_into().unwrap();
        let root = 3f64.sqrt().recip();
        assert!(
            (a - 0.5 * (1.0 - root)).abs() < 1e-15
                && (b - 0.5 * (1.0 + root)).abs() < 1e-15
        );
        assert!((v - 0.5).abs() < 1e-15 && (w - 0.5).abs() < 1e-15);
    }

    #[test]
    fn polynomials_are_integrated_exactly() {
        for degree in [0, 1, 7, 50, 99] {
            let sum: f64 = gauss_legendre(STEPS)
                .iter()
                .map(|(x, weight)| weight * x.powi(degree))
                .sum();
            assert!((sum - 1.0 / f64::from(degree + 1)).abs() < 1e-14, "{degree}: {sum}");
        }
    }
}
