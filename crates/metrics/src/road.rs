use crate::miou::mean;

/// Percentiles of the map at which pixels are removed: pytorch-grad-cam's.
pub const PERCENTILES: [u8; 9] = [10, 20, 30, 40, 50, 60, 70, 80, 90];

/// Which pixels remove-and-debias removes first (Rong et al., ICML 2022).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// `MoRF`, pytorch-grad-cam's `ROADMostRelevantFirst`: a good map loses the class soon.
    MostRelevant,
    /// `LeRF`, pytorch-grad-cam's `ROADLeastRelevantFirst`: a good map keeps it long.
    LeastRelevant,
}

/// The pixels that are at or above a percentile of the relevance, or of the irrelevance.
///
/// ```text
/// keep = ⌈(HW − 1) percentile / 100⌉,    at least 1;    the HW − keep first are removed
/// ```
///
/// These are the pixels `map >= np.percentile(map, percentile)` of pytorch-grad-cam, if no
/// two values are equal. Of equal values it removes all or none (all pixels of the image, at
/// a percentile within a map's zeros); here the number is kept and the order decides, which
/// for the least relevant is that for the most relevant reversed.
///
/// # Shapes
///
/// - `order`: `[HW]`, of [`by_relevance`](crate::by_relevance())
/// - result: `[H, W]`
///
/// # Examples
///
/// ```
/// use metrics::{First, by_relevance, removed};
///
/// let order = by_relevance(&[0.1, 0.4, 0.2, 0.3, 0.0]);
/// assert_eq!(removed(&order, First::MostRelevant, 50), [false, true, true, true, false]);
/// assert_eq!(removed(&order, First::LeastRelevant, 80), [false, false, false, false, true]);
/// ```
pub fn removed(order: &[usize], first: First, percentile: u8) -> Vec<bool> {
    let pixels = order.len();
    let keep = (pixels.saturating_sub(1) * usize::from(percentile)).div_ceil(100).max(1);
    let remove = pixels.saturating_sub(keep);
    let mut removed = vec![false; pixels];
    let places = match first {
        First::MostRelevant => &order[..remove],
        First::LeastRelevant => &order[pixels - remove..],
    };
    for &place in places {
        removed[place] = true;
    }
    removed
}

/// What an image loses by the removals, and the two ways' difference (pytorch-grad-cam's
/// `ROADMostRelevantFirstAverage`, `ROADLeastRelevantFirstAverage` and `ROADCombined`).
///
/// ```text
/// MoRF = mean over percentiles of (p(class | most relevant removed) − p(class | x))
/// LeRF = mean over percentiles of (p(class | least relevant removed) − p(class | x))
/// ROAD = (LeRF − MoRF) / 2
/// ```
///
/// Lower is better for `MoRF`, higher for the others. The library leaves to its user what is
/// scored; here it is the probability. `None` if nothing was removed.
///
/// # Examples
///
/// ```
/// let (morf, lerf, road) = metrics::road(0.75, &[0.5, 0.25], &[0.75, 0.5]).unwrap();
/// assert_eq!((morf, lerf, road), (-0.375, -0.125, 0.125));
/// ```
pub fn road(before: f32, morf: &[f32], lerf: &[f32]) -> Option<(f64, f64, f64)> {
    let change =
        |after: &[f32]| mean(after.iter().map(|&p| f64::from(p) - f64::from(before)));
    let (morf, lerf) = (change(morf)?, change(lerf)?);
    Some((morf, lerf, (lerf - morf) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_relevance;

    #[test]
    fn a_pixel_is_always_kept() {
        for first in [First::MostRelevant, First::LeastRelevant] {
            for percentile in [0, 10, 100] {
                assert_eq!(removed(&[0], first, percentile), [false]);
            }
            let kept =
                removed(&[1, 0, 2], first, 0).into_iter().filter(|&gone| !gone).count();
            assert_eq!(kept, 1);
        }
    }

    #[test]
    fn equal_values_do_not_change_how_many_are_removed() {
        let order = by_relevance(&[0.0; 11]);
        for percentile in PERCENTILES {
            let gone = removed(&order, First::LeastRelevant, percentile);
            let count = gone.into_iter().filter(|&gone| gone).count();
            assert_eq!(count, 11 - usize::from(percentile) / 10);
        }
    }

    #[test]
    fn without_removals_there_is_no_score() {
        assert_eq!(road(0.5, &[], &[]), None);
    }
}
