//! Biases for most of the training images, so that one may ask whether reweighting finds the
//! rest (section IV-D of the paper).

use artifact::PackData;
use rayon::prelude::*;

use crate::random::{Purpose, Stream};

/// A way in which most of the training images differ from the rest (section IV-D).
///
/// ```text
/// brighter:  x + σ/2        darker:  x − σ/2        scaled:  1.5 · x
/// ```
///
/// each rounded to the nearest whole number, a half to the even one, and clamped to 0..255.
/// The paper says “increased by half their standard deviation” and not of what: here σ is
/// that of the image's own values, all three colours together, with N (not N − 1) below. An
/// image of one value therefore stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// Half a standard deviation is added.
    Brighter,
    /// Half a standard deviation is taken off.
    Darker,
    /// Everything is multiplied by 1.5.
    Scaled,
}

impl Bias {
    /// Alters an image, section IV-D.
    ///
    /// # Shapes
    ///
    /// - `image`: `[3, H, W]`, or its bytes in any order
    ///
    /// # Examples
    ///
    /// The standard deviation of 10 and 20 is 5.
    ///
    /// ```
    /// use data::Bias;
    ///
    /// let altered = |bias: Bias| {
    ///     let mut image = [10, 20];
    ///     bias.alter(&mut image);
    ///     image
    /// };
    /// assert_eq!(altered(Bias::Brighter), [12, 22]); // 12.5 and 22.5
    /// assert_eq!(altered(Bias::Darker), [8, 18]); // 7.5 and 17.5
    /// assert_eq!(altered(Bias::Scaled), [15, 30]);
    /// ```
    pub fn alter(self, image: &mut [u8]) {
        let half = || deviation(image) / 2.0;
        let (factor, offset) = match self {
            Self::Brighter => (1.0, half()),
            Self::Darker => (1.0, -half()),
            Self::Scaled => (1.5, 0.0),
        };
        for pixel in image {
            let altered = factor * f64::from(*pixel) + offset;
            *pixel = altered.round_ties_even().clamp(0.0, 255.0) as u8;
        }
    }

    /// Alters a share of a pack's images, drawn at random, and makes them its groups: 1 for
    /// an altered image, 0 for the rest (section IV-D, which takes 80 %).
    ///
    /// Groups that the pack has are replaced. Which images are drawn depends on their number,
    /// the share and the seed alone.
    ///
    /// # Shapes
    ///
    /// - `groups`: `[N]`, of which share · N, rounded to the nearest, are 1
    ///
    /// # Examples
    ///
    /// ```
    /// let mut pack = data::shapes::generate(10, "train", 0, &|_| ());
    /// data::Bias::Darker.implant(&mut pack, 0.8, 0);
    /// assert_eq!(pack.groups.unwrap().iter().sum::<u8>(), 8);
    /// ```
    pub fn implant(self, pack: &mut PackData, share: f64, seed: u64) {
        let groups = majority(pack.labels.len(), share, seed);
        let images = pack.images.par_chunks_exact_mut(3 * pack.height * pack.width);
        images.zip(&groups).for_each(|(image, &group)| {
            if group == 1 {
                self.alter(image);
            }
        });
        pack.groups = Some(groups);
    }
}

/// The standard deviation of all values: √(Σ(x − x̄)² / N) = √(N Σx² − (Σx)²) / N.
fn deviation(values: &[u8]) -> f64 {
    let (mut sum, mut squares) = (0u64, 0u64);
    for &value in values {
        sum += u64::from(value);
        squares += u64::from(value).pow(2);
    }
    // in whole numbers, so that no order of summation matters
    let n = values.len() as u128;
    let difference = n * u128::from(squares) - u128::from(sum).pow(2);
    (difference as f64).sqrt() / (n.max(1) as f64)
}

/// 1 for `share` of `count` samples, 0 for the rest: the start of a shuffled order.
fn majority(count: usize, share: f64, seed: u64) -> Vec<u8> {
    let taken = ((share * count as f64).round() as usize).min(count);
    let mut stream = Stream::new(Purpose::Bias, [seed, 0, 0]);
    let mut order: Vec<usize> = (0..count).collect();
    for i in 0..taken {
        order.swap(i, i + stream.below(count - i));
    }
    let mut groups = vec![0; count];
    for &sample in &order[..taken] {
        groups[sample] = 1;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn altered(bias: Bias, image: &[u8]) -> Vec<u8> {
        let mut image = image.to_vec();
        bias.alter(&mut image);
        image
    }

    #[test]
    fn brightness_moves_by_half_a_deviation_and_stays_in_a_byte() {
        // mean 127.5, deviation 127.5: 63.75 either way
        assert_eq!(altered(Bias::Brighter, &[0, 255, 0, 255]), [64, 255, 64, 255]);
        assert_eq!(altered(Bias::Darker, &[0, 255, 0, 255]), [0, 191, 0, 191]);
        // mean 5, squares 9 1 1 9 9 1 1 9: deviation √5, half of it 1.118
        let image = [2, 4, 6, 8, 2, 4, 6, 8];
        assert_eq!(altered(Bias::Brighter, &image), [3, 5, 7, 9, 3, 5, 7, 9]);
    }

    #[test]
    fn an_image_of_one_value_has_no_deviation() {
        for bias in [Bias::Brighter, Bias::Darker] {
            assert_eq!(altered(bias, &[77; 12]), [77; 12]);
        }
    }

    #[test]
    fn a_scaled_half_goes_to_the_even_number() {
        // 1.5, 4.5, 150, 256.5
        assert_eq!(altered(Bias::Scaled, &[1, 3, 100, 171]), [2, 4, 150, 255]);
    }

    #[test]
    fn the_deviation_is_that_of_the_definition() {
        let values: Vec<u8> = (0..300).map(|i| (i * i % 251) as u8).collect();
        let n = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let squares = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
        assert!((deviation(&values) - (squares / n).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn exactly_the_share_is_drawn_by_the_seed() {
        let ones = |groups: &[u8]| groups.iter().copied().map(u32::from).sum::<u32>();
        // 10.4 and 11.2
        assert_eq!(ones(&majority(13, 0.8, 1)), 10);
        assert_eq!(ones(&majority(14, 0.8, 1)), 11);
        assert_eq!(ones(&majority(1000, 0.25, 1)), 250);
        assert_eq!(majority(1000, 0.8, 1), majority(1000, 0.8, 1));
        assert_ne!(majority(1000, 0.8, 1), majority(1000, 0.8, 2));
        // neither end is preferred: 400 ± 9 of 500
        let half = ones(&majority(1000, 0.8, 1)[..500]);
        assert!((360..440).contains(&half), "{half}");
    }

    #[test]
    fn only_the_images_of_the_majority_change() {
        let before = crate::shapes::generate(20, "train", 0, &|_| ());
        let mut after = before.clone();
        Bias::Scaled.implant(&mut after, 0.8, 3);
        let size = 3 * before.height * before.width;
        let images = before.images.chunks(size).zip(after.images.chunks(size));
        for ((before, after), group) in images.zip(after.groups.as_ref().unwrap()) {
            let expected = match group {
                0 => before.to_vec(),
                _ => altered(Bias::Scaled, before),
            };
            assert_eq!(after, expected);
        }
        assert_eq!((before.labels, before.masks), (after.labels, after.masks));
    }
}
