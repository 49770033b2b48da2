//! Batch normalisation, with the statistics of the batch or with given ones.

mod channel;
pub(crate) mod fold;

use candle_core::{Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    Activation, Node,
    activation::{Bounds, passed},
    map,
    node::{Operator, Way},
    storage,
};
use channel::{Channel, Planes};

pub use fold::{Fold, batch_norm_eval};

/// Mean and unbiased variance of each channel over one batch, for the running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel, divided by `n - 1`.
    pub variance: Vec<f32>,
}

/// What follows a normalisation, in the same pass over memory.
#[derive(Clone, Copy, Debug)]
pub struct Then<'a> {
    /// Added: the shortcut of a residual block (He et al., 2016).
    pub shortcut: Option<&'a Node>,
    /// Applied last.
    pub activation: Activation,
}

impl Then<'_> {
    /// Nothing follows.
    pub const NOTHING: Self = Self { shortcut: None, activation: Activation::Identity };

    /// # Errors
    ///
    /// If the shortcut has another shape.
    pub(crate) fn expect_shape(self, expected: &Shape) -> Result<()> {
        match self.shortcut.map(|shortcut| shortcut.shape()) {
            Some(found) if found != expected => {
                bail!("expected a shortcut of shape {expected:?}, found {found:?}")
            }
            _ => Ok(()),
        }
    }

    /// What the way back needs of the result `y`, if there is an activation.
    pub(crate) fn clipped(self, y: &Tensor) -> Option<(Tensor, Bounds)> {
        let bounds = self.activation.bounds();
        (bounds != Bounds::NONE).then(|| (y.clone(), bounds))
    }
}

/// Batch normalisation in training mode (Ioffe and Szegedy, 2015), and what follows it.
///
/// ```text
/// y = activation(gamma (x - mean) / sqrt(variance + eps) + beta + shortcut)
/// ```
///
/// with mean and variance over the batch and the plane of each channel. As in `PyTorch`,
/// the variance that normalises is divided by `n = N H W`, the one returned by `n - 1`.
/// Eight values are summed in f32, all else in f64, one channel after the other.
///
/// # Shapes
///
/// - `x`, `shortcut`: `[N, C, H, W]`
/// - `gamma`, `beta`: `[C]`
/// - result: `[N, C, H, W]`
///
/// # Errors
///
/// If shapes disagree, or a channel has a single value, which has no variance.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Activation, Node, Then};
///
/// let of = |v: f32| Ok::<_, candle_core::Error>(Node::from(&Tensor::new(&[v], &Device::Cpu)?));
/// let x = Node::from(&Tensor::new(&[[[[1f32, 3.0]]]], &Device::Cpu)?);
/// // mean 2, variance 1 (or 2 without bias)
/// let (y, moments) = ops::batch_norm(&x, &of(2.0)?, &of(1.0)?, 0.0, Then::NOTHING)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [-1.0, 3.0]);
/// assert_eq!((moments.mean, moments.variance), (vec![2.0], vec![2.0]));
///
/// let relu = Then { activation: Activation::Relu, ..Then::NOTHING };
/// let (y, _) = ops::batch_norm(&x, &of(2.0)?, &of(1.0)?, 0.0, relu)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [0.0, 3.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm(
    x: &Node,
    gamma: &Node,
    beta: &Node,
    eps: f64,
    then: Then<'_>,
) -> Result<(Node, Moments)> {
    let shape = Planes::of(x)?;
    for parameter in [gamma, beta] {
        shape.expect_channels(parameter)?;
    }
    let count = shape.batch * shape.plane;
    if count < 2 {
        let shape = x.shape();
        bail!("batch_norm: expected more than one value per channel, found {shape:?}");
    }
    then.expect_shape(x.shape())?;
    let bounds = then.activation.bounds();
    let (values, gammas, betas) =
        (x.contiguous()?, gamma.contiguous()?, beta.contiguous()?);
    let added = then.shortcut.map(Node::contiguous).transpose()?;
    let (y, channels) = forward(
        shape,
        &storage::read(&values)?,
        added.as_ref().map(storage::read).transpose()?.as_deref(),
        (&storage::read(&gammas)?, &storage::read(&betas)?),
        (eps, bounds),
    );
    let unbiased = count as f64 / (count - 1) as f64;
    let moments = Moments {
        mean: channels.iter().map(|c| c.mean as f32).collect(),
        variance: channels.iter().map(|c| (c.variance * unbiased) as f32).collect(),
    };
    let y = storage::tensor(y, x.shape())?;
    let operator =
        BatchNorm { shape, x: values, gamma: gammas, clipped: then.clipped(&y), channels };
    let mut arguments = vec![x, gamma, beta];
    arguments.extend(then.shortcut);
    Ok((Node::of(y, &arguments, operator), moments))
}

fn forward(
    shape: Planes,
    x: &[f32],
    shortcut: Option<&[f32]>,
    (gamma, beta): (&[f32], &[f32]),
    (eps, bounds): (f64, Bounds),
) -> (Vec<f32>, Vec<Channel>) {
    let layout = (shape.channels, shape.plane);
    let channel = |i: usize| Channel::of(x, shape, i, eps);
    match shortcut {
        None => map::zip_channels([x], layout, |i| {
            let channel = channel(i);
            let normalize = channel.normalize(gamma[i], beta[i]);
            (channel, move |[x]| bounds.clip(normalize(x)))
        }),
        Some(shortcut) => map::zip_channels([x, shortcut], layout, |i| {
            let channel = channel(i);
            let normalize = channel.normalize(gamma[i], beta[i]);
            (channel, move |[x, shortcut]| bounds.clip(normalize(x) + shortcut))
        }),
    }
}

#[derive(Debug)]
struct BatchNorm {
    shape: Planes,
    x: Tensor,
    gamma: Tensor,
    /// The result, if an activation made it, and the activation's bounds.
    clipped: Option<(Tensor, Bounds)>,
    channels: Vec<Channel>,
}

/// Gradients of beta and gamma, channel by channel.
type Sums = Vec<(f64, f64)>;

impl BatchNorm {
    /// The gradient of `x` if it is wanted, and those of beta and gamma.
    fn gradients(&self, dy: &[f32], wanted: bool) -> Result<(Option<Vec<f32>>, Sums)> {
        let (shape, channels) = (self.shape, &self.channels);
        let count = (shape.batch * shape.plane) as f64;
        let gamma = &*storage::read(&self.gamma)?;
        let x = &*storage::read(&self.x)?;
        // without an activation everything passes, whatever the result
        let y = self.clipped.as_ref().map(|(y, _)| storage::read(y)).transpose()?;
        let y = y.as_deref().unwrap_or(x);
        let bounds = self.clipped.as_ref().map_or(Bounds::NONE, |(_, bounds)| *bounds);
        let sums = |i: usize| channels[i].sums(shape, i, [dy, x, y], bounds);
        if !wanted {
            return Ok((None, (0..shape.channels).into_par_iter().map(sums).collect()));
        }
        let (dx, sums) =
            map::zip_channels([dy, x, y], (shape.channels, shape.plane), |i| {
                let sums = sums(i);
                let dx = channels[i].backward(gamma[i], sums, count);
                (sums, move |[d, x, y]| dx(bounds.pass(y, d), x))
            });
        Ok((Some(dx), sums))
    }
}

impl Operator for BatchNorm {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("batch normalisation with the batch's statistics")?;
        let (dx, sums) = self.gradients(&storage::read(dy)?, way.wants(0))?;
        let parameter = |wanted: bool, of: fn(&(f64, f64)) -> f64| {
            let values = || sums.iter().map(|sums| of(sums) as f32).collect();
            wanted.then(|| storage::tensor(values(), sums.len())).transpose()
        };
        let mut gradients = vec![
            dx.map(|dx| storage::tensor(dx, self.x.shape())).transpose()?,
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn a_single_value_per_channel_is_refused() -> Result<()> {
        let x = Node::from(&Tensor::zeros((1, 2, 1, 1), DType::F32, &Device::Cpu)?);
        let one = Node::from(&Tensor::ones(2, DType::F32, &Device::Cpu)?);
        let error =
            batch_norm(&x, &one, &one, 1e-5, Then::NOTHING).unwrap_err().to_string();
        assert!(error.contains("more than one value per channel"), "{error}");
        batch_norm_eval(&x, &Fold::new(&one, &one, &one, &one, 1e-5)?, Then::NOTHING)?;
        Ok(())
    }

    #[test]
    fn parameters_and_shortcuts_of_other_shapes_are_refused() -> Result<()> {
        let x = Node::from(&Tensor::zeros((2, 3, 2, 2), DType::F32, &Device::Cpu)?);
        let good = Node::from(&Tensor::ones(3, DType::F32, &Device::Cpu)?);
        let bad = Node::from(&Tensor::ones(2, DType::F32, &Device::Cpu)?);
        assert!(batch_norm(&x, &good, &bad, 1e-5, Then::NOTHING).is_err());
        let then = Then { shortcut: Some(&good), ..Then::NOTHING };
        assert!(batch_norm(&x, &good, &good, 1e-5, then).is_err());
        assert!(Fold::new(&good, &good, &bad, &good, 1e-5).is_err());
        let other = Fold::new(&bad, &bad, &bad, &bad, 1e-5)?;
        assert!(batch_norm_eval(&x, &other, Then::NOTHING).is_err());
        Ok(())
    }

    #[test]
    fn values_far_from_zero_keep_their_variance() -> Result<()> {
        let x = Tensor::new(&[[[[8_388_608f32, 8_388_609.0, 8_388_610.0]]]], &Device::Cpu)?;
        let one = Tensor::ones(1, DType::F32, &Device::Cpu)?;
        let (one, zero) = (Node::from(&one), Node::from(&one.zeros_like()?));
        let (_, moments) = batch_norm(&Node::from(&x), &one, &zero, 0.0, Then::NOTHING)?;
        assert_eq!(moments.variance, [1.0]);
        assert_eq!(moments.mean, [8_388_609.0]);
        Ok(())
    }
}
