use artifact::Scores;

/// Half the width within which weights count as one value.
const RADIUS: f64 = 1e-3;

/// Share of such weights from which on there is a warning.
const SHARE: f64 = 0.95;

/// Warns if almost all the weights that Eq. (4) will make of the scores are one value.
///
/// Eq. (3) leaves the place of the norm and the unit of ε open; a bad choice takes every
/// D to 0 or to 1, and training with such weights is plain training.
pub fn warn_if_equal(scores: &Scores) {
    let weight = |(&correct, &e)| f64::from(consistency::weight(correct, e));
    let weights = scores.correct.iter().zip(&scores.consistency).map(weight).collect();
    if let Some((share, value)) = densest(weights).filter(|&(share, _)| share > SHARE) {
        tracing::warn!(
            "{:.1} % of the weights will lie within {RADIUS} of {value:.3}, which is nearly \
             plain training: consider another --reduction or --psi, or another --epsilon or \
             --epsilon-unit of the perturbed images",
            100.0 * share,
        );
    }
}

/// The greatest share of numbers that lie within the radius of one value, and the value.
fn densest(mut numbers: Vec<f64>) -> Option<(f64, f64)> {
    numbers.sort_by(f64::total_cmp);
    let mut first = 0;
    let mut best = None;
    for (last, &number) in numbers.iter().enumerate() {
        while number - numbers[first] > 2.0 * RADIUS {
            first += 1;
        }
        let count = last + 1 - first;
        if best.is_none_or(|(most, _)| count > most) {
            best = Some((count, f64::midpoint(numbers[first], number)));
        }
    }
    best.map(|(count, value)| (count as f64 / numbers.len() as f64, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_densest_window_is_found() {
        let (share, value) = densest(vec![0.5, 0.0, 0.5005, 1.0, 0.501]).unwrap();
        assert_eq!(share, 0.6);
        assert!((value - 0.5005).abs() < 1e-12, "{value}");
    }

    #[test]
    fn one_weight_is_all_of_them() {
        assert_eq!(densest(vec![0.25]), Some((1.0, 0.25)));
        assert_eq!(densest(Vec::new()), None);
    }

    #[test]
    fn spread_weights_are_not_one_value() {
        let spread = (0..100).map(|i| f64::from(i) / 100.0).collect();
        assert_eq!(densest(spread).unwrap().0, 0.01);
    }
}
