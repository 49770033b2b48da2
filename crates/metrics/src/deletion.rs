use crate::{curve::changed, relevance::replaced};

/// The image at a step of the deletion curve: its most relevant pixels have a plain colour
/// (Petsiuk et al., "RISE", BMVC 2018, section 4.3).
///
/// ```text
/// x_s = colour at the first ⌊s HW / S⌋ places of the order, else x,    S = CURVE_STEPS
/// deletion = area under the curve of p(class | x_s), s = 0 … S
/// ```
///
/// The fewer pixels it takes to hide the class, the better they were chosen: lower is better.
/// The authors' code deletes to zero of the normalised input; in pixels this is the mean
/// colour of the network's normalisation.
///
/// # Shapes
///
/// - `image`: `[C, H, W]`; `colour`: `[C]`
/// - `order`: `[HW]`, of [`by_relevance`](crate::by_relevance())
/// - result: `[C, H, W]`
///
/// # Examples
///
/// Half of the steps delete half of the pixels.
///
/// ```
/// let order = metrics::by_relevance(&[0.0, 1.0]);
/// let half = metrics::deleted(&[0.3, 0.9], &[0.5], &order, metrics::CURVE_STEPS / 2);
/// assert_eq!(half, [0.3, 0.5]);
/// ```
pub fn deleted(image: &[f32], colour: &[f32], order: &[usize], step: usize) -> Vec<f32> {
    let area = order.len();
    let plain: Vec<f32> =
        colour.iter().flat_map(|&c| std::iter::repeat_n(c, area)).collect();
    replaced(image, &plain, area, &order[..changed(step, area)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CURVE_STEPS, by_relevance};

    #[test]
    fn the_first_step_deletes_nothing_and_the_last_all_of_every_channel() {
        let image = [0.1, 0.2, 0.3, 0.4];
        let order = by_relevance(&[0.0, 1.0]);
        assert_eq!(deleted(&image, &[0.5, 0.6], &order, 0), image);
        assert_eq!(deleted(&image, &[0.5, 0.6], &order, CURVE_STEPS), [0.5, 0.5, 0.6, 0.6]);
    }
}
