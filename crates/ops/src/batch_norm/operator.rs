//! The passes over memory of a normalisation with the statistics of the batch.

use candle_core::{Result, Tensor};

use super::channel::{Channel, Pixels};
use crate::{
    activation::Bounds,
    map,
    node::{Operator, Way},
    storage, sums,
};

/// `clip((x - mean) scale + beta + shortcut)`, where the scale of a channel is
/// `gamma / sqrt(variance + eps)`.
pub(super) fn forward(
    x: &[f32],
    shortcut: Option<&[f32]>,
    channels: &[Channel],
    (gamma, beta): (&[f32], &[f32]),
    bounds: Bounds,
) -> Vec<f32> {
    let (mean, scale) = (means(channels), scales(channels, gamma));
    let parameters: [&[f32]; 3] = [&mean, &scale, beta];
    match shortcut {
        None => {
            map::per_channel([x], parameters, move |[x], p| bounds.clip(normalized(x, p)))
        }
        Some(shortcut) => {
            map::per_channel([x, shortcut], parameters, move |[x, shortcut], p| {
                bounds.clip(normalized(x, p) + shortcut)
            })
        }
    }
}

#[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
#[inline(always)]
fn normalized(x: f32, [mean, scale, beta]: [f32; 3]) -> f32 {
    (x - mean) * scale + beta
}

fn means(channels: &[Channel]) -> Vec<f32> {
    channels.iter().map(Channel::rounded).collect()
}

fn scales(channels: &[Channel], gamma: &[f32]) -> Vec<f32> {
    channels.iter().zip(gamma).map(|(channel, gamma)| channel.scale(*gamma)).collect()
}

/// The way back.
#[derive(Debug)]
pub(super) struct BatchNorm {
    pub(super) shape: Pixels,
    pub(super) x: Tensor,
    pub(super) gamma: Tensor,
    pub(super) beta: Tensor,
    pub(super) clipped: Clipped,
    pub(super) channels: Vec<Channel>,
}

/// What is needed to know what an activation has cut.
#[derive(Debug)]
pub(super) enum Clipped {
    /// There is none.
    Nothing,
    /// Its bounds: the values come from `x` alone, and are computed again.
    OfX(Bounds),
    /// Its result, and its bounds.
    Result((Tensor, Bounds)),
}

impl Clipped {
    /// The bounds of an activation of `x` alone.
    pub(super) fn recomputed(&self) -> Option<Bounds> {
        match self {
            Self::OfX(bounds) => Some(*bounds),
            Self::Nothing | Self::Result(_) => None,
        }
    }

    /// What is kept of an activation of more than `x`.
    pub(super) fn kept(&self) -> Option<&(Tensor, Bounds)> {
        match self {
            Self::Result(clipped) => Some(clipped),
            Self::Nothing | Self::OfX(_) => None,
        }
    }
}

impl BatchNorm {
    /// The gradients of beta and gamma, channel by channel.
    fn sums(&self, dy: &[f32], x: &[f32], norm: Norm<'_>) -> Vec<(f64, f64)> {
        let (Norm { mean, scale, beta }, channels) = (norm, self.channels.len());
        let sums = match self.clipped.recomputed() {
            None => sums::per_channel([dy, x], [mean], channels, move |[d, x], [mean]| {
                (d, d * (x - mean))
            }),
            Some(bounds) => sums::per_channel(
                [dy, x],
                [mean, scale, beta],
                channels,
                move |[d, x], p| {
                    let d = bounds.pass(normalized(x, p), d);
                    (d, d * (x - p[0]))
                },
            ),
        };
        let channels = self.channels.iter().zip(sums);
        channels.map(|(channel, sums)| channel.gradients(sums)).collect()
    }

    /// The gradient of `x`, `scale (d - shift - (x - mean) slope)`, from those of beta and
    /// gamma.
    fn dx(&self, dy: &[f32], x: &[f32], norm: Norm<'_>, sums: &[(f64, f64)]) -> Vec<f32> {
        let Norm { mean, scale, beta } = norm;
        let count = self.shape.count as f64;
        let shift: Vec<f32> = sums.iter().map(|(beta, _)| (beta / count) as f32).collect();
        let channels = self.channels.iter().zip(sums);
        let slope: Vec<f32> =
            channels.map(|(channel, sums)| channel.slope(sums.1, count)).collect();
        let dx = |d: f32, x: f32, [mean, scale, shift, slope]: [f32; 4]| {
            scale * (d - shift - (x - mean) * slope)
        };
        match self.clipped.recomputed() {
            None => {
                let parameters: [&[f32]; 4] = [mean, scale, &shift, &slope];
                map::per_channel([dy, x], parameters, move |[d, x], p| dx(d, x, p))
            }
            Some(bounds) => {
                let parameters: [&[f32]; 5] = [mean, scale, &shift, &slope, beta];
                map::per_channel([dy, x], parameters, move |[d, x], p| {
                    let [mean, scale, shift, slope, beta] = p;
                    let d = bounds.pass(normalized(x, [mean, scale, beta]), d);
                    dx(d, x, [mean, scale, shift, slope])
                })
            }
        }
    }
}

impl Operator for BatchNorm {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("batch normalisation with the batch's statistics")?;
        // with a shortcut, what the activation passes is the shortcut's gradient too
        let dy = &way.pass(self.clipped(), dy)?;
        let (values, x) = (storage::read(dy)?, storage::read(&self.x)?);
        let (gamma, beta) = (storage::read(&self.gamma)?, storage::read(&self.beta)?);
        let (mean, scale) = (means(&self.channels), scales(&self.channels, &gamma));
        let norm = Norm { mean: &mean, scale: &scale, beta: &beta };
        let sums = self.sums(&values, &x, norm);
        let dx = || storage::tensor(self.dx(&values, &x, norm, &sums), self.x.shape());
        let parameter = |wanted: bool, of: fn(&(f64, f64)) -> f64| {
            let values = || sums.iter().map(|sums| of(sums) as f32).collect();
            wanted.then(|| storage::tensor(values(), sums.len())).transpose()
        };
        let mut gradients = vec![
            way.wants(0).then(dx).transpose()?,
            parameter(way.wants(1), |sums| sums.1)?,
            parameter(way.wants(2), |sums| sums.0)?,
        ];
        if let Some(shortcut) = way.argument(3) {
            gradients.push(shortcut.then(|| dy.clone()));
        }
        Ok(gradients)
    }

    fn clipped(&self) -> Option<&(Tensor, Bounds)> {
        self.clipped.kept()
    }
}

/// What each channel is normalised by.
#[derive(Clone, Copy)]
struct Norm<'a> {
    mean: &'a [f32],
    scale: &'a [f32],
    beta: &'a [f32],
}
