/// Whether confidence grows when only what the map shows is left (Chattopadhay et al.,
/// "Grad-CAM++", WACV 2018, section 4.1); average increase is its share of the images.
///
/// ```text
/// increase = [Y < O],    Y = p(class | x),  O = p(class | E)
/// ```
///
/// Higher is better. What is shown is made by [`shown`](crate::shown()).
///
/// # Examples
///
/// ```
/// assert!(metrics::increases(0.5, 0.75));
/// assert!(!metrics::increases(0.5, 0.5));
/// ```
pub fn increases(before: f32, after: f32) -> bool {
    before < after
}
