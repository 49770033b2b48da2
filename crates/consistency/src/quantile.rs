/// The `q`-quantile of sorted numbers, interpolated linearly between neighbours.
///
/// Definition 7 of Hyndman and Fan (1996), the default of numpy and R. None of no numbers.
///
/// # Panics
///
/// If `q` is not in \[0, 1\].
///
/// # Examples
///
/// ```
/// use consistency::quantile;
///
/// let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
/// assert_eq!(quantile(&sorted, 0.5), Some(4.0));
/// assert_eq!(quantile(&sorted, 0.125), Some(1.5)); // halfway from 1 to 2
/// assert_eq!(quantile(&sorted, 1.0), Some(16.0));
/// assert_eq!(quantile(&[], 0.5), None);
/// ```
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    assert!((0.0..=1.0).contains(&q), "a quantile at {q}");
    let last = sorted.len().checked_sub(1)?;
    let position = q * last as f64;
    let below = position.floor() as usize;
    let (a, b) = (sorted[below], sorted[last.min(below + 1)]);
    Some(a + (position - position.floor()) * (b - a))
}
