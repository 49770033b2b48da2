/// A sample's weight in the next round of training, Eq. (4).
///
/// ```text
/// v = 1 − E
/// ```
///
/// The paper compares explanations of correct predictions; where there is none to
/// compare the weight is 1: a misclassified sample (whatever its weight was before), and
/// one without E because a map is flat or not finite, or was not made. A sample whose
/// prediction the perturbation flipped has E = 0, hence weight 1 too.
///
/// # Examples
///
/// ```
/// use consistency::weight;
///
/// assert_eq!(weight(true, Some(0.75)), 0.25);
/// assert_eq!(weight(true, Some(0.0)), 1.0); // flipped
/// assert_eq!(weight(true, None), 1.0);
/// assert_eq!(weight(false, Some(0.75)), 1.0); // misclassified
/// ```
pub fn weight(correct: bool, consistency: Option<f32>) -> f32 {
    consistency.filter(|_| correct).map_or(1.0, |e| 1.0 - e)
}
