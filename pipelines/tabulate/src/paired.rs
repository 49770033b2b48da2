//! Means, deviations, and Student's t-test of pairs.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean; that of nothing is NaN.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample, with n − 1; of one value there is none.
pub(crate) fn deviation(values: &[f64]) -> Option<f64> {
    let (n, mean) = (values.len(), mean(values));
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (n > 1).then(|| (squares / (n - 1) as f64).sqrt())
}

/// How probable a mean difference at least so far from 0 is if the differences are normal
/// around 0 (Student, 1908), two-sided.
///
/// ```text
/// t = mean / (deviation / √n),    p = 2 (1 − F(|t|)),    F of n − 1 degrees of freedom
/// ```
///
/// Of differences that are all equal, but for rounding, nothing can be said.
pub(crate) fn probability(differences: &[f64]) -> Option<f64> {
    let n = differences.len() as f64;
    let mean = mean(differences);
    let rounding = 1e-9 * mean.abs().max(1e-3);
    let deviation = deviation(differences).filter(|deviation| *deviation > rounding)?;
    let t = mean / (deviation / n.sqrt());
    let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    Some(2.0 * student.cdf(-t.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_deviate_by_their_distance_over_the_root_of_two() {
        assert_eq!(mean(&[1.0, 3.0]), 2.0);
        assert_eq!(deviation(&[1.0, 3.0]), Some(2f64.sqrt()));
        assert_eq!(deviation(&[1.0]), None);
    }

    #[test]
    fn the_probability_is_that_of_the_t_distribution() {
        // of two degrees of freedom: p = 1 − t / √(t² + 2), here t = √3 · 2 / 1
        let t = 12f64.sqrt();
        let expected = 1.0 - t / (t * t + 2.0).sqrt();
        let found = probability(&[1.0, 2.0, 3.0]).unwrap();
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        assert_eq!(probability(&[-1.0, -2.0, -3.0]), Some(found));
    }

    #[test]
    fn of_equal_differences_and_of_one_nothing_is_said() {
        assert_eq!(probability(&[0.5, 0.5]), None);
        // 0.3 − 0.2 and 0.2 − 0.1 differ by their rounding alone
        assert_eq!(probability(&[0.3 - 0.2, 0.2 - 0.1]), None);
        assert_eq!(probability(&[-2.8e-17, 0.0, -2.8e-17]), None);
        assert_eq!(probability(&[0.5]), None);
    }
}
