/// The entropy below which CEAL takes a prediction for the label (Wang et al. 2016).
///
/// ```text
/// δ_t = max(δ − decay·(t − 1), 0)
/// ```
///
/// The network grows more certain from round to round, so that less entropy is trusted.
///
/// # Panics
///
/// If `round` is 0: rounds are counted from 1.
///
/// # Examples
///
/// ```
/// use consistency::selection::threshold;
///
/// assert_eq!(threshold(0.5, 0.125, 2), 0.375);
/// assert_eq!(threshold(0.5, 0.125, 9), 0.0); // 0.5 − 1
/// ```
pub fn threshold(delta: f64, decay: f64, round: u32) -> f64 {
    let earlier = round.checked_sub(1).expect("rounds are counted from 1");
    (delta - decay * f64::from(earlier)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_has_delta_itself() {
        assert_eq!(threshold(0.05, 0.0033, 1), 0.05);
        assert!((threshold(0.05, 0.0033, 4) - 0.0401).abs() < 1e-12);
    }
}
