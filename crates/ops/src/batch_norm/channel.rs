//! One channel of a batch: its statistics, and the sums that its gradients need.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use crate::{map, storage, sums};

#[derive(Clone, Copy)]
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

    /// `Σ f(a, b)` over one channel.
    pub(super) fn sums(
        &self,
        channel: usize,
        a: &[f32],
        b: &[f32],
        f: impl Fn(f64, f64) -> (f64, f64) + Copy,
    ) -> (f64, f64) {
        map::vectorized(|| {
            (0..self.batch).fold((0.0, 0.0), |(first, second), n| {
                let at = (n * self.channels + channel) * self.plane;
                let plane = at..at + self.plane;
                let (u, v) = sums::pairs(&a[plane.clone()], &b[plane], f);
                (first + u, second + v)
            })
        })
    }
}

/// Statistics of a channel, however they came about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// `1 / sqrt(variance + eps)`
    pub(super) inverse: f64,
}

impl Channel {
    pub(super) fn new(mean: f64, variance: f64, eps: f64) -> Self {
        Self { mean, variance, inverse: 1.0 / (variance + eps).sqrt() }
    }

    pub(super) fn of(x: &[f32], shape: Planes, channel: usize, eps: f64) -> Self {
        // relative to some value of the channel: no cancellation when all are alike
        let origin = f64::from(x[channel * shape.plane]);
        let (sum, squares) = shape.sums(channel, x, x, |v, _| {
            let d = v - origin;
            (d, d * d)
        });
        let count = (shape.batch * shape.plane) as f64;
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0);
        // max() would make a zero of NaN
        let variance = if squares.is_nan() { squares } else { variance };
        Self::new(origin + mean, variance, eps)
    }

    pub(super) fn normalize(self, gamma: f32, beta: f32) -> impl Fn(f32) -> f32 {
        let mean = self.mean as f32;
        let scale = (f64::from(gamma) * self.inverse) as f32;
        move |x| (x - mean) * scale + beta
    }

    /// Gradients of beta and gamma: `Σ dy` and `Σ dy (x - mean) / sqrt(variance + eps)`.
    pub(super) fn parameters(
        self,
        dy: &[f32],
        x: &[f32],
        shape: Planes,
        channel: usize,
    ) -> (f64, f64) {
        let mean = self.mean;
        let (beta, product) = shape.sums(channel, dy, x, |d, x| (d, d * (x - mean)));
        (beta, product * self.inverse)
    }
}

/// Gradients of the parameters, in f64, channel by channel.
pub(super) type Parameters = Vec<(f64, f64)>;

pub(super) fn parameters(
    channels: &[Channel],
    dy: &[f32],
    x: &[f32],
    shape: Planes,
) -> Parameters {
    let channels = channels.par_iter().enumerate();
    channels.map(|(i, channel)| channel.parameters(dy, x, shape, i)).collect()
}

pub(super) type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// Gives each argument its gradient if it wants one.
pub(super) fn gradients(
    (x, gamma, beta): (&Tensor, &Tensor, &Tensor),
    dx: Option<Vec<f32>>,
    parameters: &Parameters,
) -> Result<Gradients> {
    let parameter = |tensor: &Tensor, of: fn(&(f64, f64)) -> f64| {
        let values = || parameters.iter().map(|p| of(p) as f32).collect();
        tensor.track_op().then(|| storage::tensor(values(), tensor.shape())).transpose()
    };
    Ok((
        dx.map(|dx| storage::tensor(dx, x.shape())).transpose()?,
        parameter(gamma, |p| p.1)?,
        parameter(beta, |p| p.0)?,
    ))
}
