//! In which order an epoch visits the samples, and in which they are drawn.

use crate::random::{Purpose, Stream};

/// The samples in the order of an epoch: a permutation that is a function of the seed and
/// the epoch alone (Fisher and Yates' shuffle, Knuth's Algorithm P).
///
/// ```
/// let order = data::order(&[2, 3, 5, 7], 0, 1);
/// assert_eq!(order, data::order(&[2, 3, 5, 7], 0, 1));
/// let mut sorted = order;
/// sorted.sort_unstable();
/// assert_eq!(sorted, [2, 3, 5, 7]);
/// ```
pub fn order(samples: &[u32], seed: u64, epoch: u32) -> Vec<u32> {
    let mut order = samples.to_vec();
    shuffle(&mut order, Stream::new(Purpose::Order, [seed, u64::from(epoch), 0]));
    order
}

/// The samples `0..count` in the order in which they are drawn to be labelled: a permutation
/// that is a function of the seed alone.
///
/// Whoever draws in several rounds takes the first ones that are not yet labelled.
///
/// ```
/// let drawn = data::draw(4, 0);
/// assert_eq!(drawn, data::draw(4, 0));
/// let mut sorted = drawn;
/// sorted.sort_unstable();
/// assert_eq!(sorted, [0, 1, 2, 3]);
/// ```
pub fn draw(count: u32, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    shuffle(&mut order, Stream::new(Purpose::Draw, [seed, 0, 0]));
    order
}

fn shuffle(samples: &mut [u32], mut stream: Stream) {
    for last in (1..samples.len()).rev() {
        samples.swap(last, stream.below(last + 1));
    }
}

/// Cuts an order into batches of `size`; the last may be smaller.
///
/// A lone sample at the end joins the batch before it: batch normalisation has no variance
/// to divide by when a single image has shrunk to a single pixel.
///
/// ```
/// assert_eq!(data::in_batches(&[4, 2, 1, 3, 0], 3), [vec![4, 2, 1], vec![3, 0]]);
/// assert_eq!(data::in_batches(&[4, 2, 1, 3], 3), [vec![4, 2, 1, 3]]);
/// ```
///
/// # Panics
///
/// If `size` is 0.
pub fn in_batches(order: &[u32], size: usize) -> Vec<Vec<u32>> {
    let mut batches: Vec<Vec<u32>> = order.chunks(size).map(<[u32]>::to_vec).collect();
    if size > 1
        && let [.., before, last] = batches.as_mut_slice()
        && last.len() == 1
    {
        before.append(last);
        batches.pop();
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_every_sample_once() {
        let samples: Vec<u32> = (0..100).collect();
        for epoch in 0..3 {
            let mut order = order(&samples, 7, epoch);
            assert_ne!(order, samples);
            order.sort_unstable();
            assert_eq!(order, samples);
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let samples: Vec<u32> = (0..100).collect();
        assert_ne!(order(&samples, 7, 0), order(&samples, 7, 1));
        assert_ne!(order(&samples, 7, 0), order(&samples, 8, 0));
    }

    #[test]
    fn each_seed_draws_another_order_than_any_epoch() {
        let samples: Vec<u32> = (0..100).collect();
        assert_ne!(draw(100, 7), draw(100, 8));
        assert_ne!(draw(100, 7), order(&samples, 7, 0));
        assert!(draw(0, 7).is_empty());
    }

    #[test]
    fn nothing_is_lost_between_batches() {
        let samples: Vec<u32> = (0..13).collect();
        for size in 1..15 {
            let batches = in_batches(&samples, size);
            assert_eq!(batches.concat(), samples);
            assert!(size == 1 || batches.iter().all(|batch| batch.len() > 1));
        }
    }

    #[test]
    fn a_single_sample_is_a_batch() {
        assert_eq!(in_batches(&[3], 8), [vec![3]]);
        assert!(in_batches(&[], 8).is_empty());
    }
}
