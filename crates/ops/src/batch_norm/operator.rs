//! The passes over memory of a normalisation with the statistics of the batch.

use candle_core::{Result, Tensor};

use super::channel::{Channel, Pixels};
use crate::{
    activation::{Bounds, passed},
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
    let normalized = |x: f32, [mean, scale, beta]: [f32; 3]| (x - mean) * scale + beta;
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
    /// The result, if an activation made it, and the activation's bounds.
    pub(super) clipped: Option<(Tensor, Bounds)>,
    pub(super) channels: Vec<Channel>,
}

/// What the way back reads, pixel by pixel.
#[derive(Clone, Copy)]
struct Arrays<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    /// The result, if an activation made it, and the activation's bounds.
    clipped: Option<(&'a [f32], Bounds)>,
}

impl BatchNorm {
    /// The gradients of beta and gamma, channel by channel.
    fn sums(&self, arrays: Arrays<'_>) -> Vec<(f64, f64)> {
        let Arrays { dy, x, clipped } = arrays;
        let (mean, count) = (means(&self.channels), self.channels.len());
        let sums = match clipped {
            None => sums::per_channel([dy, x], [&mean], count, move |[d, x], [mean]| {
                (d, d * (x - mean))
            }),
            Some((y, bounds)) => {
                sums::per_channel([dy, x, y], [&mean], count, move |[d, x, y], [mean]| {
                    let d = bounds.pass(y, d);
                    (d, d * (x - mean))
                })
            }
        };
        let channels = self.channels.iter().zip(sums);
        channels.map(|(channel, sums)| channel.gradients(sums)).collect()
    }

    /// The gradient of `x`, `scale (d - shift - (x - mean) slope)`, from those of beta and
    /// gamma.
    fn dx(&self, arrays: Arrays<'_>, gamma: &[f32], sums: &[(f64, f64)]) -> Vec<f32> {
        let Arrays { dy, x, clipped } = arrays;
        let count = self.shape.count as f64;
        let (mean, scale) = (means(&self.channels), scales(&self.channels, gamma));
        let shift: Vec<f32> = sums.iter().map(|(beta, _)| (beta / count) as f32).collect();
        let channels = self.channels.iter().zip(sums);
        let slope: Vec<f32> =
            channels.map(|(channel, sums)| channel.slope(sums.1, count)).collect();
        let parameters: [&[f32]; 4] = [&mean, &scale, &shift, &slope];
        let dx = |d: f32, x: f32, [mean, scale, shift, slope]: [f32; 4]| {
            scale * (d - shift - (x - mean) * slope)
        };
        match clipped {
            None => map::per_channel([dy, x], parameters, move |[d, x], p| dx(d, x, p)),
            Some((y, bounds)) => {
                map::per_channel([dy, x, y], parameters, move |[d, x, y], p| {
                    dx(bounds.pass(y, d), x, p)
                })
            }
        }
    }
}

impl Operator for BatchNorm {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("batch normalisation with the batch's statistics")?;
        let y = self.clipped.as_ref().map(|(y, _)| storage::read(y)).transpose()?;
        let bounds = self.clipped.as_ref().map(|(_, bounds)| *bounds);
        let arrays = Arrays {
            dy: &storage::read(dy)?,
            x: &storage::read(&self.x)?,
            clipped: y.as_deref().zip(bounds),
        };
        let sums = self.sums(arrays);
        let gamma = storage::read(&self.gamma)?;
        let dx = || storage::tensor(self.dx(arrays, &gamma, &sums), self.x.shape());
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
            gradients.push(match &self.clipped {
                Some((y, bounds)) if shortcut => Some(passed(y, dy, *bounds)?),
                _ => shortcut.then(|| dy.clone()),
            });
        }
        Ok(gradients)
    }
}
