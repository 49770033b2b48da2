use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    pixel_gradient::{magnitude, summed},
};

/// Noisy copies of an image.
const SAMPLES: usize = 50;
/// Standard deviation of the noise, in units of the image's range.
const NOISE: f32 = 0.15;

/// `SmoothGrad` (Smilkov et al., 2017): the mean gradient of noisy copies of the image.
///
/// ```text
/// map = Σ over colours of |1/n Σ_k ∂z[target] / ∂x (x + σ ν_k)|,    ν_k standard normal
/// ```
///
/// in the size of the image, with n = 50 and σ = 0.15 (max x − min x), both as the article
/// suggests; Captum's `NoiseTunnel` is given σ itself. Noise k is the same for every image, so that an image's map does not depend on
/// its batch, and those of x and x̂ differ by the images alone.
#[derive(Clone, Copy, Debug)]
pub struct SmoothGrad {
    /// Images that go through the network together.
    pub(crate) at_a_time: usize,
}

impl Explainer for SmoothGrad {
    fn name(&self) -> &'static str {
        "smooth-grad"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { forward: 1 + SAMPLES, backward: SAMPLES, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        let mut drawn = (usize::MAX, Vec::new());
        let work = (SAMPLES, self.at_a_time);
        let weight = |_| 1.0 / SAMPLES as f64;
        let sums = summed(subject, target, work, weight, |sample, x, out| {
            if drawn.0 != sample {
                drawn = (sample, noise(sample, x.len()));
            }
            let deviation = NOISE * range(x);
            for ((out, x), noise) in out.iter_mut().zip(x).zip(&drawn.1) {
                *out = x + deviation * noise;
            }
        })?;
        magnitude(subject, &sums)
    }
}

/// Standard normal values, of the stream that has the sample's number.
fn noise(sample: usize, len: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    random.set_stream(sample as u64);
    (0..len).map(|_| StandardNormal.sample(&mut random)).collect()
}

fn range(x: &[f32]) -> f32 {
    let low = x.iter().copied().fold(f32::INFINITY, f32::min);
    let high = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    high - low
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use models::{Arch, Network, Normalization};
    use ops::Node;

    use super::*;

    #[test]
    fn it_is_the_mean_gradient_of_the_noisy_copies() {
        let norm = Normalization { mean: [0.5; 3], std: [0.25; 3] };
        let network = Network::new(Arch::Resnet20, 3, norm, 7).unwrap();
        let tap = network.resolve_tap(None).unwrap();
        let shape = (1, 3, 8, 8);
        let x: Vec<f32> = (0..3 * 8 * 8_u32).map(|i| (i * i % 91) as f32 / 90.0).collect();
        let subject = |x: &[f32]| {
            let x = Tensor::from_slice(x, shape, &Device::Cpu).unwrap();
            Subject::new(&network, &tap, &Node::from(&x)).unwrap()
        };
        let deviation = 0.15 * range(&x);
        let mut mean = vec![0f64; x.len()];
        for sample in 0..SAMPLES {
            let noise = noise(sample, x.len());
            let noisy: Vec<f32> =
                x.iter().zip(noise).map(|(x, n)| x + deviation * n).collect();
            let one = |_: usize| 1.0;
            let copy = |_: usize, x: &[f32], out: &mut [f32]| out.copy_from_slice(x);
            let gradient = summed(&subject(&noisy), &[1], (1, 1), one, copy).unwrap();
            mean.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g / SAMPLES as f64);
        }
        let expected = magnitude(&subject(&x), &mean).unwrap();
        let found = SmoothGrad { at_a_time: 7 }.maps(&subject(&x), &[1]).unwrap();
        for (found, expected) in found.values.iter().zip(&expected.values) {
            assert!((found - expected).abs() <= 1e-5 * expected, "{found}, not {expected}");
        }
    }

    #[test]
    fn noise_is_standard_normal_and_another_one_for_each_sample() {
        let (first, second) = (noise(0, 10_000), noise(1, 10_000));
        let mean = first.iter().sum::<f32>() / 1e4;
        let square = first.iter().map(|x| x * x).sum::<f32>() / 1e4;
        // five standard errors
        assert!(mean.abs() < 0.05 && (square - 1.0).abs() < 0.071, "{mean} {square}");
        assert_ne!(first, second);
        assert_eq!(first, noise(0, 10_000));
    }
}
