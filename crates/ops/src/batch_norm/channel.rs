//! One channel of a batch: its statistics, and the sums that its gradients need.

use candle_core::{Result, Tensor, bail};

use crate::{activation::Bounds, sums};

#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) plane: usize,
}

impl Planes {
    pub(super) fn of(x: &Tensor) -> Result<Self> {
        let (batch, channels, height, width) = x.dims4()?;
        Ok(Self { batch, channels, plane: height * width })
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

    /// `Σ f(a, b, …)` over one channel.
    fn sums<const N: usize>(
        &self,
        channel: usize,
        arrays: [&[f32]; N],
        f: impl Fn([f32; N]) -> (f32, f32) + Copy,
    ) -> (f64, f64) {
        (0..self.batch).fold((0.0, 0.0), |(first, second), n| {
            let at = (n * self.channels + channel) * self.plane;
            let planes = arrays.map(|values| &values[at..at + self.plane]);
            let (u, v) = sums::tuples(planes, f);
            (first + u, second + v)
        })
    }
}

/// Statistics of a channel of the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// `1 / sqrt(variance + eps)`
    pub(super) inverse: f64,
}

impl Channel {
    pub(super) fn of(x: &[f32], shape: Planes, channel: usize, eps: f64) -> Self {
        // relative to some value of the channel: no cancellation when all are alike
        let origin = x[channel * shape.plane];
        let (sum, squares) = shape.sums(channel, [x], |[v]| {
            let d = v - origin;
            (d, d * d)
        });
        let count = (shape.batch * shape.plane) as f64;
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

    pub(super) fn normalize(self, gamma: f32, beta: f32) -> impl Fn(f32) -> f32 + Copy {
        let mean = self.mean as f32;
        let scale = (f64::from(gamma) * self.inverse) as f32;
        move |x| (x - mean) * scale + beta
    }

    /// Gradients of beta and gamma: `Σ d` and `Σ d (x - mean) / sqrt(variance + eps)`, `d`
    /// being what the activation passes of `dy`.
    pub(super) fn sums(
        self,
        shape: Planes,
        channel: usize,
        [dy, x, y]: [&[f32]; 3],
        bounds: Bounds,
    ) -> (f64, f64) {
        let mean = self.mean as f32;
        let (beta, product) = shape.sums(channel, [dy, x, y], |[d, x, y]| {
            let d = bounds.pass(y, d);
            (d, d * (x - mean))
        });
        // what the mean lost when it was rounded
        let product = product - (self.mean - f64::from(mean)) * beta;
        (beta, product * self.inverse)
    }

    /// The gradient of `x`, from the gradients of beta and gamma and `count` values.
    pub(super) fn backward(
        self,
        gamma: f32,
        (beta_sum, gamma_sum): (f64, f64),
        count: f64,
    ) -> impl Fn(f32, f32) -> f32 + Copy {
        let scale = (f64::from(gamma) * self.inverse) as f32;
        let mean = self.mean as f32;
        let shift = (beta_sum / count) as f32;
        let slope = (gamma_sum * self.inverse / count) as f32;
        move |d, x| scale * (d - shift - (x - mean) * slope)
    }
}
