/// Average precision of one class: the area under its precision-recall steps, without
/// interpolation (scikit-learn's `average_precision_score`).
///
/// ```text
/// AP = Σ_n (R_n − R_{n−1}) P_n,    over the distinct scores, from the highest
/// ```
///
/// Samples of equal score are one threshold, so their order does not matter. VOC's own
/// mAP (2010 on) interpolates precision and is at least as large. `None` when no sample is
/// positive.
///
/// # Shapes
///
/// - `scores`: `[N]`, any increasing function of confidence (logits will do), not NaN
/// - `positive`: `[N]`
///
/// # Examples
///
/// From the highest score: hit (P 1, R 1/2), miss, hit (P 2/3, R 1), miss.
///
/// ```
/// let ap = metrics::average_precision(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false]);
/// assert!((ap.unwrap() - (0.5 * 1.0 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);
/// ```
pub fn average_precision(scores: &[f32], positive: &[bool]) -> Option<f64> {
    let positives = positive.iter().filter(|&&p| p).count();
    if positives == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len().min(positive.len())).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));

    let (mut area, mut hits, mut seen) = (0.0, 0, 0);
    for ties in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let new = ties.iter().filter(|&&i| positive[i]).count();
        hits += new;
        seen += ties.len();
        area += new as f64 / positives as f64 * (hits as f64 / seen as f64);
    }
    Some(area)
}

/// Mean of the classes' [`average_precision`] (mAP), over the classes that have a positive
/// sample.
///
/// scikit-learn's macro average counts a class without one as 0; here it has no say, and
/// has no row of its own either.
///
/// # Examples
///
/// ```
/// assert_eq!(metrics::mean_average_precision(&[Some(1.0), None, Some(0.5)]), Some(0.75));
/// assert_eq!(metrics::mean_average_precision(&[None]), None);
/// ```
pub fn mean_average_precision(by_class: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = by_class.iter().copied().flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_scikit_learns() {
        // tests/parity/metrics.py
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.4, -0.2, 0.8];
        let positive = [false, false, true, true, true, false, true, false];
        let ap = average_precision(&scores, &positive).unwrap();
        assert!((ap - 0.475).abs() < 1e-12, "{ap}");
    }

    #[test]
    fn equal_scores_give_the_share_of_positives() {
        let ap = average_precision(&[0.5; 4], &[true, false, false, false]);
        assert_eq!(ap, Some(0.25));
    }

    #[test]
    fn the_order_of_the_samples_does_not_matter() {
        let a = average_precision(&[1.0, 1.0, 0.0], &[true, false, true]);
        let b = average_precision(&[0.0, 1.0, 1.0], &[true, false, true]);
        assert_eq!(a, b);
    }

    #[test]
    fn a_class_without_positives_has_none() {
        assert_eq!(average_precision(&[0.3, 0.2], &[false, false]), None);
    }
}
