/// How many unbiased samples are among those that weigh most (section IV-D).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Debiasing {
    /// The share of unbiased samples at the top.
    pub share: f64,
    /// How many samples are at the top.
    pub top: u64,
    /// The share of unbiased samples among all, which a random order comes to.
    pub chance: f64,
    /// How many samples there are.
    pub samples: u64,
}

/// The share of unbiased samples in the top 20 % of the weights (section IV-D).
///
/// ```text
/// k = N/5, rounded to the nearest, at least 1
/// share = (u_> + (k − n_>) · u_= / n_=) / k
/// ```
///
/// `n_>` samples weigh more than the one of rank k, `u_>` of them unbiased, and `n_=` weigh
/// the same, `u_=` of them unbiased. The paper does not say how ties are broken. Here those
/// at the border count in expectation, as if the rest of the k were drawn among them: weights
/// that are all equal are exactly at chance, and nothing is drawn. `None` of no samples.
///
/// # Shapes
///
/// - `weights`, `unbiased`: `[N]`, the weights finite
///
/// # Panics
///
/// If the lengths differ.
///
/// # Examples
///
/// Two of ten are the top: the first, and one of the four that weigh 0.5, of which one is
/// unbiased.
///
/// ```
/// let weights = [0.9, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1];
/// let mut unbiased = [false; 10];
/// (unbiased[0], unbiased[4], unbiased[9]) = (true, true, true);
/// let found = metrics::debiasing(&weights, &unbiased).unwrap();
/// assert_eq!((found.share, found.top), ((1.0 + 0.25) / 2.0, 2));
/// assert_eq!((found.chance, found.samples), (0.3, 10));
/// ```
pub fn debiasing(weights: &[f32], unbiased: &[bool]) -> Option<Debiasing> {
    assert_eq!(weights.len(), unbiased.len(), "not a group for each weight");
    let n = weights.len();
    let top = ((2 * n + 5) / 10).max(1);
    let mut descending = weights.to_vec();
    descending.sort_unstable_by(|a, b| b.total_cmp(a));
    let border = *descending.get(top - 1)?;

    let count = |holds: &dyn Fn(f32, bool) -> bool| {
        weights.iter().zip(unbiased).filter(|&(&w, &u)| holds(w, u)).count() as u128
    };
    let (above, ties) = (count(&|w, _| w > border), count(&|w, _| w == border));
    let unbiased_above = count(&|w, u| u && w > border);
    let unbiased_ties = count(&|w, u| u && w == border);
    let k = top as u128;
    // one quotient of whole numbers, so that equal weights are at chance to the last bit
    let hits = unbiased_above * ties + (k - above) * unbiased_ties;
    Some(Debiasing {
        share: hits as f64 / (k * ties) as f64,
        top: top as u64,
        chance: count(&|_, u| u) as f64 / n as f64,
        samples: n as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weights: &[f32], unbiased: &[usize]) -> f64 {
        let unbiased: Vec<bool> =
            (0..weights.len()).map(|i| unbiased.contains(&i)).collect();
        debiasing(weights, &unbiased).unwrap().share
    }

    #[test]
    fn equal_weights_are_exactly_at_chance() {
        for n in 1..200 {
            let unbiased: Vec<bool> = (0..n).map(|i| i % 7 == 3).collect();
            let found = debiasing(&vec![0.3; n], &unbiased).unwrap();
            assert_eq!(found.share, found.chance, "{n} samples");
        }
    }

    #[test]
    fn the_order_of_the_samples_does_not_matter() {
        let weights = [0.1, 0.8, 0.3, 0.3, 0.9, 0.2, 0.3, 0.0, 0.3, 0.5];
        // the top two are samples 4 and 1
        assert_eq!(share(&weights, &[4, 5]), 0.5);
        assert_eq!(share(&weights, &[1, 4]), 1.0);
        assert_eq!(share(&weights, &[0, 2, 3]), 0.0);
    }

    #[test]
    fn zeros_and_ones_are_ties() {
        // the top two are two of the five that weigh 1, of which three are unbiased
        let weights = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        assert_eq!(share(&weights, &[0, 2, 4, 5]), 0.6);
        // one weighs 1, and one of the nine that weigh 0 comes with it
        let mut weights = [0.0; 10];
        weights[3] = 1.0;
        assert_eq!(share(&weights, &[3]), 0.5);
        // −0 is 0
        weights[4] = -0.0;
        assert_eq!(share(&weights, &[4]), 1.0 / 18.0);
    }

    #[test]
    fn a_fifth_is_rounded_and_never_nothing() {
        let top = |n| debiasing(&vec![1.0; n], &vec![true; n]).map(|found| found.top);
        assert_eq!([1, 2, 7, 8, 12, 13, 2000].map(top), [1, 1, 1, 2, 2, 3, 400].map(Some));
        assert_eq!(top(0), None);
    }
}
