//! How torchvision initialises parameters, as a pure function of a seed.
//!
//! The stream of `ChaCha8` with key `seed` and number `stream` belongs to one parameter, and
//! its word j to element j, so neither the order of initialisation nor the number of
//! threads matters. The values are torchvision's in distribution, not in number.

use std::f64::consts::TAU;

use candle_core::{Device, Result, Tensor};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rayon::prelude::*;

/// The distribution of a parameter's elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Init {
    /// All the same.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform in ±bound.
    Uniform(f64),
}

impl Init {
    /// `kaiming_normal_(mode="fan_out")` with the gain of `ReLU` (He et al. 2015): standard
    /// deviation √(2 / (outputs · kernel area)). As in PyTorch the groups of a grouped
    /// convolution do not enter.
    pub(crate) fn kaiming_fan_out(outputs: usize, kernel: usize) -> Self {
        Self::Normal((2.0 / (outputs * kernel * kernel) as f64).sqrt())
    }

    /// PyTorch's default for the weight and the bias of a linear layer: ±1 / √inputs.
    pub(crate) fn linear_default(inputs: usize) -> Self {
        Self::Uniform(1.0 / (inputs as f64).sqrt())
    }

    /// A tensor drawn from `stream` of `seed`.
    pub(crate) fn draw(self, shape: &[usize], seed: u64, stream: u64) -> Result<Tensor> {
        let mut values = vec![0f32; shape.iter().product()];
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        match self {
            Self::Constant(value) => values.fill(value),
            Self::Normal(std) => fill(&mut values, &random, |pair, words| {
                let radius = std * (-2.0 * (1.0 - unit(words[0])).ln()).sqrt();
                let (sin, cos) = (TAU * unit(words[1])).sin_cos();
                for (value, part) in pair.iter_mut().zip([cos, sin]) {
                    *value = (radius * part) as f32;
                }
            }),
            Self::Uniform(bound) => fill(&mut values, &random, |pair, words| {
                for (value, word) in pair.iter_mut().zip(words) {
                    *value = (bound * (2.0 * unit(word) - 1.0)) as f32;
                }
            }),
        }
        Tensor::from_vec(values, shape, &Device::Cpu)
    }
}

/// A word as a number in [0, 1).
fn unit(word: u32) -> f64 {
    f64::from(word) / 4_294_967_296.0
}

/// Elements that a thread fills at a time; even, for pairs stay together.
const CHUNK: usize = 1 << 16;

/// Fills `values` by pairs: two words of `random` make two elements.
fn fill(
    values: &mut [f32],
    random: &ChaCha8Rng,
    make: impl Fn(&mut [f32], [u32; 2]) + Sync,
) {
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let mut random = random.clone();
        random.set_word_pos((chunk * CHUNK) as u128);
        for pair in values.chunks_mut(2) {
            make(pair, [random.next_u32(), random.next_u32()]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(init: Init, count: usize, seed: u64, stream: u64) -> Vec<f32> {
        init.draw(&[count], seed, stream).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn normal_values_have_mean_0_and_the_standard_deviation() {
        let values = drawn(Init::Normal(0.01), 200_001, 3, 5);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 200_001.0;
        let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 200_001.0;
        // five standard errors: 0.01 / √200001 and its √2-th part for the deviation
        assert!(mean.abs() < 1.2e-4, "{mean}");
        assert!((square.sqrt() - 0.01).abs() < 8e-5, "{square}");
    }

    #[test]
    fn uniform_values_fill_the_interval() {
        let values = drawn(Init::linear_default(4), 100_000, 3, 5);
        let (min, max) =
            values.iter().fold((0f32, 0f32), |(a, b), &v| (a.min(v), b.max(v)));
        assert!((-0.5..-0.4999).contains(&min), "{min}");
        assert!((0.4999..0.5).contains(&max), "{max}");
    }

    #[test]
    fn streams_and_seeds_differ_and_longer_tensors_start_alike() {
        let values = drawn(Init::Normal(1.0), CHUNK + 3, 0, 0);
        assert_eq!(values[..8], drawn(Init::Normal(1.0), 8, 0, 0));
        assert_ne!(values[..8], drawn(Init::Normal(1.0), 8, 0, 1));
        assert_ne!(values[..8], drawn(Init::Normal(1.0), 8, 1, 0));
        assert_ne!(values[..3], values[CHUNK..]);
    }

    #[test]
    fn fan_out_counts_outputs_and_the_kernel() {
        // √(2 / (8 · 3 · 3)) = 1/6
        assert_eq!(Init::kaiming_fan_out(8, 3), Init::Normal(1.0 / 6.0));
    }
}
