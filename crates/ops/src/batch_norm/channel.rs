//! The statistics of each channel of a batch.

use candle_core::{Result, Tensor, bail};

use crate::sums;

/// A batch as pixels of as many values as there are channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels {
    /// Pixels of all images: the values of each channel.
    pub(super) count: usize,
    pub(super) channels: usize,
}

impl Pixels {
    pub(super) fn of(x: &Tensor) -> Result<Self> {
        let (batch, channels, height, width) = x.dims4()?;
        Ok(Self { count: batch * height * width, channels })
    }

    pub(super) fn expect_channels(&self, parameter: &Tensor) -> Result<()> {
        if parameter.dims() != [self.channels] {
            let (channels, found) = (self.channels, parameter.shape());
            bail!(
                "batch_norm: expected a parameter of shape [{channels}], found {found:?}"
            );
        }
        Ok(())
    }
}

/// Statistics of a channel of the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    mean: f64,
    pub(super) variance: f64,
    /// `1 / sqrt(variance + eps)`
    inverse: f64,
}

impl Channel {
    /// Those of every channel of a batch that is not empty.
    pub(super) fn of_all(x: &[f32], shape: Pixels, eps: f64) -> Vec<Self> {
        // relative to some value of the channel: no cancellation when all are alike
        let origins = &x[..shape.channels];
        let sums =
            sums::per_channel([x], [origins], shape.channels, move |[v], [origin]| {
                let d = v - origin;
                (d, d * d)
            });
        let channels = origins.iter().zip(sums);
        channels.map(|(origin, sums)| Self::new(*origin, sums, shape.count, eps)).collect()
    }

    /// That of `count` values, from the sums of their differences to `origin`, and of the
    /// squares of these.
    fn new(origin: f32, (sum, squares): (f64, f64), count: usize, eps: f64) -> Self {
        let count = count as f64;
        let mean = sum / count;
        let variance = squares / count - mean * mean;
        // max() would make a zero of NaN
        let variance = if variance < 0.0 { 0.0 } else { variance };
        Self {
            mean: f64::from(origin) + mean,
            variance,
            inverse: 1.0 / (variance + eps).sqrt(),
        }
    }

    /// The mean as it is taken from values.
    pub(super) fn rounded(&self) -> f32 {
        self.mean as f32
    }

    /// What a value less the mean is multiplied by.
    pub(super) fn scale(&self, gamma: f32) -> f32 {
        (f64::from(gamma) * self.inverse) as f32
    }

    /// Gradients of beta and gamma: `Σ d` and `Σ d (x - mean) / sqrt(variance + eps)`, from
    /// `Σ d` and `Σ d (x - mean)` with the rounded mean.
    pub(super) fn gradients(&self, (beta, product): (f64, f64)) -> (f64, f64) {
        // what the mean lost when it was rounded
        let product = product - (self.mean - f64::from(self.rounded())) * beta;
        (beta, product * self.inverse)
    }

    /// `slope` in the gradient of `x`, from the gradient of gamma.
    pub(super) fn slope(&self, gamma_sum: f64, count: f64) -> f32 {
        (gamma_sum * self.inverse / count) as f32
    }
}
