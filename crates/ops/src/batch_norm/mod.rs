//! Batch normalisation, with the statistics of the batch or with given ones.

mod blend;
mod channel;
#[cfg(feature = "cuda")]
mod cuda;
pub(crate) mod fold;
mod operator;
#[cfg(feature = "cuda")]
mod tiles;

use candle_core::{Result, Shape, Tensor, bail};

use crate::{Activation, Node, activation::Bounds, storage};
use channel::{Channel, Pixels};
use operator::{BatchNorm, Clipped, forward};

pub use blend::blend;
pub use fold::{Fold, batch_norm_eval};

/// Mean and unbiased variance of each channel over one batch, for the running statistics:
/// `[C]`, on the device of the batch.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Mean of each channel.
    pub mean: Tensor,
    /// Variance of each channel, divided by `n - 1`.
    pub variance: Tensor,
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

    /// The same, where the result can be computed again if nothing was added.
    fn cut(self, y: &Tensor) -> Clipped {
        match self.clipped(y) {
            None => Clipped::Nothing,
            Some((_, bounds)) if self.shortcut.is_none() => Clipped::OfX(bounds),
            Some(clipped) => Clipped::Result(clipped),
        }
    }
}

/// Batch normalisation in training mode (Ioffe and Szegedy, 2015), and what follows it.
///
/// ```text
/// y = activation(gamma (x - mean) / sqrt(variance + eps) + beta + shortcut)
/// ```
///
/// with mean and variance over all pixels of the batch, channel by channel. As in `PyTorch`,
/// the variance that normalises is divided by `n = N H W`, the one returned by `n - 1`.
/// Eight values are summed in f32, all else in f64, in an order that is a function of the
/// shape.
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
/// assert_eq!(moments.mean.to_vec1::<f32>()?, [2.0]);
/// assert_eq!(moments.variance.to_vec1::<f32>()?, [2.0]);
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
    let shape = Pixels::of(x)?;
    for parameter in [gamma, beta] {
        shape.expect_channels(parameter)?;
    }
    let count = shape.count;
    if count < 2 {
        let shape = x.shape();
        bail!("batch_norm: expected more than one value per channel, found {shape:?}");
    }
    then.expect_shape(x.shape())?;
    let bounds = then.activation.bounds();
    let (values, gammas, betas) = (x.dense()?, gamma.dense()?, beta.dense()?);
    let added = then.shortcut.map(Node::dense).transpose()?;
    let mut arguments = vec![x, gamma, beta];
    arguments.extend(then.shortcut);
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        let norm = cuda::Norm::of(&values, shape, (&gammas, &betas), eps)?;
        let y = cuda::apply(&values, added.as_ref(), norm.scaling(), bounds)?;
        let moments = norm.moments.clone();
        let operator = cuda::BatchNorm { shape, x: values, norm, clipped: then.cut(&y) };
        return Ok((Node::of(y, &arguments, operator), moments));
    }
    let channels = Channel::of_all(&storage::read(&values)?, shape, eps);
    let y = forward(
        &storage::read(&values)?,
        added.as_ref().map(storage::read).transpose()?.as_deref(),
        &channels,
        (&storage::read(&gammas)?, &storage::read(&betas)?),
        bounds,
    );
    let unbiased = count as f64 / (count - 1) as f64;
    let of = |of: &dyn Fn(&Channel) -> f32| {
        storage::tensor(channels.iter().map(of).collect(), shape.channels)
    };
    let moments = Moments {
        mean: of(&Channel::rounded)?,
        variance: of(&|channel| (channel.variance * unbiased) as f32)?,
    };
    let y = storage::tensor(y, x.shape())?;
    let clipped = then.cut(&y);
    let operator =
        BatchNorm { shape, x: values, gamma: gammas, beta: betas, clipped, channels };
    Ok((Node::of(y, &arguments, operator), moments))
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
    fn every_channel_has_statistics_of_its_own() -> Result<()> {
        // two images of two channels of two values: means 1 and 3, variances 3
        let images = [[[[0f32, 4.0]], [[2.0, 2.0]]], [[[0.0, 0.0]], [[2.0, 6.0]]]];
        let x = Node::from(&Tensor::new(&images, &Device::Cpu)?);
        let gamma = Node::from(&Tensor::new(&[2f32, 4.0], &Device::Cpu)?);
        let beta = Node::from(&Tensor::new(&[0f32, 1.0], &Device::Cpu)?);
        let (y, moments) = batch_norm(&x, &gamma, &beta, 1.0, Then::NOTHING)?;
        assert_eq!(moments.mean.to_vec1::<f32>()?, [1.0, 3.0]);
        assert_eq!(moments.variance.to_vec1::<f32>()?, [4.0, 4.0]);
        let y = y.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(y, [-1.0, 3.0, -1.0, -1.0, -1.0, -1.0, -1.0, 7.0]);
        Ok(())
    }

    #[test]
    fn values_far_from_zero_keep_their_variance() -> Result<()> {
        let x = Tensor::new(&[[[[8_388_608f32, 8_388_609.0, 8_388_610.0]]]], &Device::Cpu)?;
        let one = Tensor::ones(1, DType::F32, &Device::Cpu)?;
        let (one, zero) = (Node::from(&one), Node::from(&one.zeros_like()?));
        let (_, moments) = batch_norm(&Node::from(&x), &one, &zero, 0.0, Then::NOTHING)?;
        assert_eq!(moments.variance.to_vec1::<f32>()?, [1.0]);
        assert_eq!(moments.mean.to_vec1::<f32>()?, [8_388_609.0]);
        Ok(())
    }
}
