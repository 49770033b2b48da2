//! Numbers that depend on what they are for, and on nothing that ran before.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is drawn for; no two purposes share numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The order of the samples in an epoch.
    Order = 1,
    /// How a sample is altered in an epoch.
    Augment = 2,
    /// An image of the built-in data set.
    Shapes = 3,
    /// Which samples are labelled.
    Draw = 4,
    /// Which images are biased.
    Bias = 5,
}

/// Random numbers of one key: the key is the whole state, so any order of use and any
/// number of threads draw the same.
///
/// The distributions are spelt out here rather than taken from `rand`, whose numbers may
/// change between versions; `ChaCha`'s do not.
#[derive(Debug)]
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `key` for `purpose`.
    pub(crate) fn new(purpose: Purpose, key: [u64; 3]) -> Self {
        let mut seed = [0; 32];
        let words = [purpose as u64, key[0], key[1], key[2]];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Uniform in \[0, 1), a multiple of 2⁻²⁴.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// Uniform between `low` and `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Uniform in 0..n, up to a bias of n/2³².
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_whole_state() {
        let draw = |key| {
            let mut stream = Stream::new(Purpose::Order, key);
            [stream.below(1000), stream.below(1000), stream.below(1000)]
        };
        assert_eq!(draw([1, 2, 3]), draw([1, 2, 3]));
        assert_ne!(draw([1, 2, 3]), draw([1, 3, 2]));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut stream = Stream::new(Purpose::Augment, [0; 3]);
        for _ in 0..1000 {
            assert!(stream.below(7) < 7);
            assert!((0.0..1.0).contains(&stream.uniform()));
        }
    }
}
