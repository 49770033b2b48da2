//! Batch normalisation in evaluation mode: two constants a channel.

use candle_core::{Result, Tensor, bail};

#[cfg(feature = "cuda")]
use super::cuda::{self, Scaling};
use super::{Then, channel::Pixels};
use crate::{
    Node,
    activation::Bounds,
    map,
    node::{Operator, Way},
    storage,
};

/// Batch normalisation with given statistics, as `scale x + shift` of each channel.
///
/// ```text
/// scale = gamma / sqrt(variance + eps),    shift = beta - mean scale
/// ```
///
/// Computed in f64. These are constants: no gradient reaches them.
#[derive(Clone, Debug)]
pub struct Fold {
    /// `[C]`, where the parameters are.
    pub(crate) scale: Tensor,
    pub(crate) shift: Tensor,
}

impl Fold {
    /// That of parameters and running statistics.
    ///
    /// # Shapes
    ///
    /// - `gamma`, `beta`, `mean`, `variance`: `[C]`
    ///
    /// # Errors
    ///
    /// If the shapes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use ops::{Fold, Node, Then};
    ///
    /// let of = |v: f32| Tensor::new(&[v], &Device::Cpu);
    /// // gamma 2, beta 5, mean 1, variance 4
    /// let fold = Fold::new(&of(2.0)?, &of(5.0)?, &of(1.0)?, &of(4.0)?, 0.0)?;
    /// let x = Node::from(&Tensor::new(&[[[[1f32, 3.0]]]], &Device::Cpu)?);
    /// let y = ops::batch_norm_eval(&x, &fold, Then::NOTHING)?;
    /// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5.0, 7.0]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn new(
        gamma: &Tensor,
        beta: &Tensor,
        mean: &Tensor,
        variance: &Tensor,
        eps: f64,
    ) -> Result<Self> {
        let channels = gamma.dims1()?;
        for other in [beta, mean, variance] {
            if other.dims() != [channels] {
                let found = other.shape();
                bail!(
                    "batch_norm: expected a parameter of shape [{channels}], found {found:?}"
                );
            }
        }
        #[cfg(feature = "cuda")]
        if gamma.device().is_cuda() {
            let (scale, shift) = cuda::fold([gamma, beta, mean, variance], eps)?;
            return Ok(Self { scale, shift });
        }
        let of = |tensor: &Tensor| -> Result<Vec<f64>> {
            let tensor = tensor.contiguous()?;
            Ok(storage::read(&tensor)?.iter().copied().map(f64::from).collect())
        };
        let (gamma, beta, mean, variance) =
            (of(gamma)?, of(beta)?, of(mean)?, of(variance)?);
        let (mut scale, mut shift) = (Vec::new(), Vec::new());
        for c in 0..channels {
            let factor = gamma[c] / (variance[c] + eps).sqrt();
            scale.push(factor as f32);
            shift.push((beta[c] - mean[c] * factor) as f32);
        }
        let tensor = |values| storage::tensor(values, channels);
        Ok(Self { scale: tensor(scale)?, shift: tensor(shift)? })
    }

    pub(crate) fn channels(&self) -> usize {
        self.scale.elem_count()
    }
}

/// Batch normalisation in evaluation mode, and what follows it.
///
/// ```text
/// y = activation(scale x + shift + shortcut)
/// ```
///
/// # Shapes
///
/// - `x`, `shortcut`: `[N, C, H, W]`
/// - result: `[N, C, H, W]`
///
/// # Errors
///
/// If `fold` is of another number of channels, or the shortcut of another shape.
pub fn batch_norm_eval(x: &Node, fold: &Fold, then: Then<'_>) -> Result<Node> {
    let shape = Pixels::of(x)?;
    if fold.channels() != shape.channels {
        bail!("batch_norm: {} channels, found {:?}", fold.channels(), x.shape());
    }
    then.expect_shape(x.shape())?;
    let bounds = then.activation.bounds();
    let (values, added) = (x.dense()?, then.shortcut.map(Node::dense).transpose()?);
    let y = folded(&values, added.as_ref(), fold, bounds)?;
    let backward = Scaled { scale: fold.scale.clone(), clipped: then.clipped(&y) };
    let mut arguments = vec![x];
    arguments.extend(then.shortcut);
    Ok(Node::of(y, &arguments, backward))
}

/// `clip(scale x + shift + added)`
fn folded(
    x: &Tensor,
    added: Option<&Tensor>,
    fold: &Fold,
    bounds: Bounds,
) -> Result<Tensor> {
    let Fold { scale, shift } = fold;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let by = Scaling { mean: None, scale, shift: Some(shift) };
        return cuda::apply(x, added, by, bounds);
    }
    let y = {
        let (x, added) = (storage::read(x)?, added.map(storage::read).transpose()?);
        let (scale, shift) = (storage::read(scale)?, storage::read(shift)?);
        let parameters: [&[f32]; 2] = [&scale, &shift];
        match added.as_deref() {
            None => map::per_channel([&x], parameters, move |[x], [scale, shift]| {
                bounds.clip(x * scale + shift)
            }),
            Some(added) => map::per_channel(
                [&x, added],
                parameters,
                move |[x, added], [scale, shift]| bounds.clip(x * scale + shift + added),
            ),
        }
    };
    storage::tensor(y, x.shape())
}

/// `scale d`, channel by channel.
fn scaled(d: &Tensor, scale: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if d.device().is_cuda() {
        let by = Scaling { mean: None, scale, shift: None };
        return cuda::apply(d, None, by, Bounds::NONE);
    }
    let scale = storage::read(scale)?;
    let dx =
        map::per_channel([&storage::read(d)?], [&scale], move |[d], [scale]| d * scale);
    storage::tensor(dx, d.shape())
}

/// The way back through `activation(scale x + shift + shortcut)`.
#[derive(Debug)]
struct Scaled {
    scale: Tensor,
    /// The result, if an activation made it, and the activation's bounds.
    clipped: Option<(Tensor, Bounds)>,
}

impl Operator for Scaled {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let dy = way.pass(self.clipped(), dy)?;
        let dx = || scaled(&dy, &self.scale);
        let mut gradients = vec![way.wants(0).then(dx).transpose()?];
        if let Some(shortcut) = way.argument(1) {
            gradients.push(shortcut.then(|| dy.clone()));
        }
        Ok(gradients)
    }

    fn clipped(&self) -> Option<&(Tensor, Bounds)> {
        self.clipped.as_ref()
    }
}
