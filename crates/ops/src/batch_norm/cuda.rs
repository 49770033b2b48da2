//! Batch normalisation on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor, bail};

use super::{
    Moments,
    channel::Pixels,
    operator::Clipped,
    tiles::{finish, pass_over, sums},
};
use crate::{
    activation::Bounds,
    cuda::{Arg, Grid, Kernel, Source, at, empty, empty_like, gpu, launch},
    map::cuda::{expect_alike, suffix},
    node::{Operator, Way},
};

/// What each channel is multiplied by, and what is taken and added.
#[derive(Clone, Copy)]
pub(super) struct Scaling<'a> {
    pub(super) mean: Option<&'a Tensor>,
    pub(super) scale: &'a Tensor,
    pub(super) shift: Option<&'a Tensor>,
}

/// `clip((x - mean) scale + shift + added)`, channel by channel.
pub(super) fn apply(
    x: &Tensor,
    added: Option<&Tensor>,
    by: Scaling<'_>,
    bounds: Bounds,
) -> Result<Tensor> {
    let shape = Pixels::of(x)?;
    if let Some(added) = added {
        expect_alike(x, added)?;
    }
    let of = |tensor| parameter_or_none(tensor, shape);
    let y = empty_like(x)?;
    let args = [
        at(x)?,
        added.map_or(Ok(Arg::Pointer(0)), at)?,
        of(by.mean)?,
        parameter(by.scale, shape)?,
        of(by.shift)?,
        at(&y)?,
        bounds.low.into(),
        bounds.high.into(),
    ];
    // SAFETY: tensors of one shape and type, and parameters of its channels.
    unsafe { pass_over("apply", x, shape, &args)? };
    Ok(y)
}

/// [`super::Fold`] of gamma, beta, mean and variance, of as many channels each.
pub(super) fn fold(parameters: [&Tensor; 4], eps: f64) -> Result<(Tensor, Tensor)> {
    let (device, channels) = (gpu(parameters[0])?, parameters[0].elem_count());
    // what is copied here lives until the kernel is started
    let parameters =
        parameters.into_iter().map(Tensor::contiguous).collect::<Result<Vec<_>>>()?;
    let of = |tensor| parameter(tensor, Pixels { count: 1, channels });
    let mut args = parameters.iter().map(of).collect::<Result<Vec<_>>>()?;
    let (scale, shift) =
        (empty(device, DType::F32, channels)?, empty(device, DType::F32, channels)?);
    args.extend([at(&scale)?, at(&shift)?, Arg::Double(eps), channels.into()]);
    let kernel = Kernel { source: Source::BATCH_NORM, name: "fold".to_owned() };
    // SAFETY: six tensors of as many values.
    unsafe { launch(device, &kernel, Grid::of(channels), &args)? };
    Ok((scale, shift))
}

/// `(1 - share) old + share new`, of two dense tensors of one shape.
pub(super) fn blend(old: &Tensor, new: &Tensor, share: f64) -> Result<Tensor> {
    let (device, channels) = (gpu(old)?, old.elem_count());
    let shape = Pixels { count: 1, channels };
    let mixed = empty(device, DType::F32, channels)?;
    let args = [
        parameter(old, shape)?,
        parameter(new, shape)?,
        at(&mixed)?,
        Arg::Double(share),
        channels.into(),
    ];
    let kernel = Kernel { source: Source::BATCH_NORM, name: "blend".to_owned() };
    // SAFETY: three tensors of as many values.
    unsafe { launch(device, &kernel, Grid::of(channels), &args)? };
    Ok(mixed)
}

/// What the channels of a batch are normalised by, and what the way back needs of it.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) moments: Moments,
    scale: Tensor,
    beta: Tensor,
    /// `[2, C]` in f64: what the mean lost when it was rounded, and `1 / sqrt(variance + eps)`.
    exact: Tensor,
}

impl Norm {
    /// That of a dense batch.
    pub(super) fn of(
        x: &Tensor,
        shape: Pixels,
        (gamma, beta): (&Tensor, &Tensor),
        eps: f64,
    ) -> Result<Self> {
        let (device, channels) = (gpu(x)?, shape.channels);
        let beta = beta.clone();
        parameter(&beta, shape)?;
        // SAFETY: a tensor of that shape.
        let partial = unsafe { sums("moments", x, shape, (&[at(x)?], &[]))? };
        let new = || empty(device, DType::F32, channels);
        let (mean, variance, scale) = (new()?, new()?, new()?);
        let exact = empty(device, DType::F64, (2, channels))?;
        let args = [
            at(x)?,
            parameter(gamma, shape)?,
            at(&mean)?,
            at(&variance)?,
            at(&scale)?,
            at(&exact)?,
            Arg::Double(shape.count as f64),
            Arg::Double(eps),
        ];
        let name = format!("statistics_{}", suffix(x)?);
        // SAFETY: a batch that is not empty, and tensors of its channels.
        unsafe { finish(&name, &partial, &args)? };
        Ok(Self { moments: Moments { mean, variance }, scale, beta, exact })
    }

    pub(super) fn scaling(&self) -> Scaling<'_> {
        let (mean, shift) = (Some(&self.moments.mean), Some(&self.beta));
        Scaling { mean, scale: &self.scale, shift }
    }
}

/// The way back through a normalisation with the statistics of the batch.
#[derive(Debug)]
pub(super) struct BatchNorm {
    pub(super) shape: Pixels,
    pub(super) x: Tensor,
    pub(super) norm: Norm,
    pub(super) clipped: Clipped,
}

impl Operator for BatchNorm {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("batch normalisation with the batch's statistics")?;
        let Self { shape, x, norm, .. } = self;
        // with a shortcut, what the activation passes is the shortcut's gradient too
        let dy = &way.pass(self.clipped(), dy)?;
        expect_alike(x, dy)?;
        let bounds = self.clipped.recomputed();
        let shift = parameter_or_none(bounds.map(|_| &norm.beta), *shape)?;
        let Bounds { low, high } = bounds.unwrap_or(Bounds::NONE);
        let bounds: [Arg; 2] = [low.into(), high.into()];
        let values = [at(dy)?, at(x)?, at(&norm.moments.mean)?, at(&norm.scale)?, shift];
        // SAFETY: two tensors of that shape and of one type, and parameters of its channels.
        let partial = unsafe { sums("products", x, *shape, (&values, &bounds))? };
        let new = || empty(gpu(x)?, DType::F32, shape.channels);
        let (dgamma, dbeta, less, slope) = (new()?, new()?, new()?, new()?);
        let args = [
            at(&norm.exact)?,
            at(&dgamma)?,
            at(&dbeta)?,
            at(&less)?,
            at(&slope)?,
            Arg::Double(shape.count as f64),
        ];
        // SAFETY: tensors of as many channels.
        unsafe { finish("gradients", &partial, &args)? };
        let dx = || {
            let dx = empty_like(x)?;
            let more = [at(&less)?, at(&slope)?, at(&dx)?];
            let args = [&values[..], &more, &bounds].concat();
            // SAFETY: three tensors of that shape and of one type, and parameters of its channels.
            unsafe { pass_over("back", x, *shape, &args)? };
            Ok::<_, candle_core::Error>(dx)
        };
        let mut gradients = vec![
            way.wants(0).then(dx).transpose()?,
            way.wants(1).then_some(dgamma),
            way.wants(2).then_some(dbeta),
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

/// The address of a channel's parameters.
fn parameter(tensor: &Tensor, shape: Pixels) -> Result<Arg> {
    shape.expect_channels(tensor)?;
    if tensor.dtype() != DType::F32 {
        bail!("batch_norm: expected parameters in f32, found {:?}", tensor.dtype());
    }
    at(tensor)
}

fn parameter_or_none(tensor: Option<&Tensor>, shape: Pixels) -> Result<Arg> {
    tensor.map_or(Ok(Arg::Pointer(0)), |tensor| parameter(tensor, shape))
}
