/// Spearman's rank correlation of two maps (Spearman, "The Proof and Measurement of
/// Association between Two Things", 1904; as `SciPy`'s `spearmanr`).
///
/// ```text
/// ρ = Σ (r_i − r̄) (s_i − s̄) / √(Σ (r_i − r̄)² Σ (s_i − s̄)²)
/// ```
///
/// r and s are the ranks of the values; equal values share the mean of their ranks. `None` if
/// the values of a map are all equal: they have no order.
///
/// # Shapes
///
/// - `a`, `b`: `[N]`, finite
///
/// # Examples
///
/// Ranks 1, 2, 3 and 1, 3, 2: 1 − 6 · (0 + 1 + 1) / (3 · 8).
///
/// ```
/// let rho = metrics::spearman(&[0.1, 0.2, 0.9], &[0.0, 5.0, 1.0]).unwrap();
/// assert!((rho - 0.5).abs() < 1e-12);
/// assert_eq!(metrics::spearman(&[0.1, 0.2], &[0.3, 0.3]), None);
/// ```
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (centred_ranks(a), centred_ranks(b));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let norms = (dot(&a, &a) * dot(&b, &b)).sqrt();
    (norms > 0.0).then(|| (dot(&a, &b) / norms).clamp(-1.0, 1.0))
}

/// Rank of each value, less the mean rank.
fn centred_ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for ties in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // twice the ranks are whole numbers, so that ties of all are exactly 0
        let twice = (2 * first + ties.len()) as f64 - values.len() as f64;
        for &i in ties {
            ranks[i] = twice / 2.0;
        }
        first += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increasing_function_does_not_change_the_order() {
        let a = [0.3_f32, -1.0, 2.0, 0.4];
        assert_eq!(spearman(&a, &a.map(f32::exp)), Some(1.0));
        assert_eq!(spearman(&a, &a.map(|x| -x)), Some(-1.0));
    }

    #[test]
    fn equal_values_share_a_rank() {
        // ranks 1.5, 1.5, 3 and 1, 2, 3: 1.5 / √(1.5 · 2)
        let rho = spearman(&[0.0, 0.0, 1.0], &[0.0, 1.0, 2.0]).unwrap();
        assert!((rho - 1.5 / 3f64.sqrt()).abs() < 1e-12, "{rho}");
        // −0 and 0 are equal
        assert_eq!(spearman(&[0.0, -0.0], &[0.0, 1.0]), None);
    }

    #[test]
    fn nothing_has_no_correlation() {
        assert_eq!(spearman(&[], &[]), None);
    }
}
