//! Weights that keep a part of what Eq. (4) says: what is left of its effect then?

/// Ablation: only whether the prediction flips counts, Eq. (2) without its first case.
///
/// ```text
/// v = 0 if f(x̂) = f(x), else 1;    1 if misclassified or without a verdict
/// ```
///
/// # Examples
///
/// ```
/// use consistency::by_flip;
///
/// assert_eq!(by_flip(Some(false), true), 0.0);
/// assert_eq!(by_flip(Some(true), true), 1.0);
/// assert_eq!(by_flip(Some(false), false), 1.0);
/// assert_eq!(by_flip(None, true), 1.0);
/// ```
pub fn by_flip(flipped: Option<bool>, correct: bool) -> f32 {
    if correct && flipped == Some(false) { 0.0 } else { 1.0 }
}

/// Ablation: only how far the map moves counts, Eq. (3), whether the prediction flips or not.
///
/// ```text
/// v = D;    1 if misclassified or without a verdict
/// ```
///
/// # Examples
///
/// ```
/// assert_eq!(consistency::by_distance(Some(0.25), true), 0.25);
/// assert_eq!(consistency::by_distance(Some(0.25), false), 1.0);
/// assert_eq!(consistency::by_distance(None, true), 1.0);
/// ```
pub fn by_distance(inconsistency: Option<f32>, correct: bool) -> f32 {
    inconsistency.filter(|_| correct).unwrap_or(1.0)
}

/// Control: the weights of the marked samples in another order among them, which a permutation
/// gives; all others stay where they are.
///
/// # Shapes
///
/// - `marked`: `[N]`
/// - `order`: a permutation of `0..` the number of marked samples
///
/// # Panics
///
/// If `order` has another length.
///
/// # Examples
///
/// ```
/// let mut weights = [0.1, 0.2, 1.0, 0.3];
/// consistency::exchange(&mut weights, &[true, true, false, true], &[2, 0, 1]);
/// assert_eq!(weights, [0.3, 0.1, 1.0, 0.2]);
/// ```
pub fn exchange(weights: &mut [f32], marked: &[bool], order: &[usize]) {
    let places: Vec<usize> = (0..weights.len()).filter(|&i| marked[i]).collect();
    assert_eq!(places.len(), order.len(), "not a permutation of the marked samples");
    let before: Vec<f32> = places.iter().map(|&place| weights[place]).collect();
    for (place, &from) in places.into_iter().zip(order) {
        weights[place] = before[from];
    }
}

/// Control: the samples whose prediction is right and stays weigh alike, as much as before on
/// the mean; all others, misclassified and flipped ones, keep their weight.
///
/// # Shapes
///
/// - `alike`: `[N]`
///
/// # Examples
///
/// ```
/// let mut weights = [0.25, 1.0, 0.75];
/// consistency::level(&mut weights, &[true, false, true]);
/// assert_eq!(weights, [0.5, 1.0, 0.5]);
/// ```
pub fn level(weights: &mut [f32], alike: &[bool]) {
    let of_alike = || weights.iter().zip(alike).filter(|(_, alike)| **alike);
    let sum: f64 = of_alike().map(|(&v, _)| f64::from(v)).sum();
    let mean = sum / of_alike().count().max(1) as f64;
    for (weight, _) in weights.iter_mut().zip(alike).filter(|(_, alike)| **alike) {
        *weight = mean as f32;
    }
}
