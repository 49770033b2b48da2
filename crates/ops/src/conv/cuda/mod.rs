//! Convolutions on a GPU: by cuDNN, by matrix products where a pixel reads a pixel, and by
//! kernels of our own where each channel stays alone.

#![expect(unsafe_code, reason = "kernels are started")]

mod cudnn;
mod depthwise;
mod plan;

use candle_core::{DType, Result, Tensor, bail};

use super::{After, geometry::Geometry};
use crate::{
    activation::Bounds,
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, laid_out, launch, width},
    map::{
        self,
        cuda::{cast, planes, suffix},
    },
    node::End,
    storage,
};
use cudnn::{Kind, convolve};

/// The result, with row-major weights of which each output's are multiplied by its scale.
pub(super) fn forward(
    geometry: &Geometry,
    x: &Tensor,
    (w, scale): (&Tensor, Option<&Tensor>),
    after: After<'_>,
) -> Result<Tensor> {
    if geometry.is_depthwise() {
        return depthwise::forward(geometry, x, (w, scale), after);
    }
    let y = match Way::of(geometry) {
        Way::Product => {
            let w = matrix(geometry, &packed(geometry, (w, scale), x.dtype())?)?;
            images(&pixels(x)?.matmul(&w.t()?)?, geometry.result())?
        }
        Way::Pixels => {
            let y = laid_out(gpu(x)?, x.dtype(), geometry.result())?;
            let w = packed(geometry, (w, scale), x.dtype())?;
            convolve(Kind::Forward, geometry, true, (x, &w), &y)?;
            y
        }
        Way::Planes => {
            let y = empty(gpu(x)?, DType::F32, geometry.result())?;
            let w = scaled(geometry, (w, scale))?;
            convolve(Kind::Forward, geometry, false, (&in_planes(x)?, &w), &y)?;
            cast(&storage::dense(&y)?, x.dtype())?
        }
    };
    follow(&y, after)?;
    Ok(y)
}

/// The gradient of `x`, as [`forward`] takes the weights.
pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &Tensor,
    (w, scale): (&Tensor, Option<&Tensor>),
    end: &End,
) -> Result<Tensor> {
    if geometry.is_depthwise() {
        return depthwise::backward_data(geometry, dy, (w, scale), end);
    }
    let dx = match Way::of(geometry) {
        Way::Product => {
            let w = matrix(geometry, &packed(geometry, (w, scale), dy.dtype())?)?;
            images(&pixels(dy)?.matmul(&w)?, geometry.input())?
        }
        Way::Pixels => {
            let dx = laid_out(gpu(dy)?, dy.dtype(), geometry.input())?;
            let w = packed(geometry, (w, scale), dy.dtype())?;
            convolve(Kind::Data, geometry, true, (dy, &w), &dx)?;
            dx
        }
        Way::Planes => {
            let dx = empty(gpu(dy)?, DType::F32, geometry.input())?;
            let w = scaled(geometry, (w, scale))?;
            convolve(Kind::Data, geometry, false, (&in_planes(dy)?, &w), &dx)?;
            cast(&storage::dense(&dx)?, dy.dtype())?
        }
    };
    map::cuda::end(&dx, end)?;
    Ok(dx)
}

/// The gradient of the weights, row-major as f32; in bf16 it has been rounded to that.
pub(super) fn backward_weight(
    geometry: &Geometry,
    x: &Tensor,
    dy: &Tensor,
) -> Result<Tensor> {
    if geometry.is_depthwise() {
        return depthwise::backward_weight(geometry, x, dy);
    }
    let shape = geometry.weights();
    match Way::of(geometry) {
        Way::Product => {
            let dw = pixels(dy)?.t()?.matmul(&pixels(x)?)?;
            cast(&dw, DType::F32)?.reshape(shape)
        }
        Way::Pixels => {
            let packed = empty(gpu(x)?, x.dtype(), shape)?;
            convolve(Kind::Weight, geometry, true, (x, dy), &packed)?;
            unpacked(geometry, &packed)
        }
        Way::Planes => {
            let dw = empty(gpu(x)?, DType::F32, shape)?;
            let factors = (&in_planes(x)?, &in_planes(dy)?);
            convolve(Kind::Weight, geometry, false, factors, &dw)?;
            Ok(dw)
        }
    }
}

/// The sum of each channel over all pixels, `[C]` in f32.
pub(crate) fn sums(dy: &Tensor) -> Result<Tensor> {
    let channels = dy.dim(1)?;
    let pixels = dy.elem_count() / channels.max(1);
    let device = gpu(dy)?;
    let groups = channels.div_ceil(32);
    let stretches = (4096 / groups).clamp(1, 512).min(pixels.div_ceil(64));
    let parts = empty(device, DType::F32, (stretches, channels))?;
    let kernel = Kernel { source: Source::CONV, name: format!("bias_{}", suffix(dy)?) };
    let grid = Grid { blocks: (stretches as u32, groups as u32, 1), threads: (32, 8, 1) };
    let args = [at(dy)?, at(&parts)?, channels.into(), pixels.into()];
    // SAFETY: the parts are as many as there are blocks and channels.
    unsafe { launch(device, &kernel, grid, &args)? };
    let sums = empty(device, DType::F32, channels)?;
    depthwise::join(&parts, &sums, (stretches, channels, 1))?;
    Ok(sums)
}

/// How a convolution of several channels is computed.
enum Way {
    /// As a product of matrices: every result reads one pixel, where it stands itself.
    Product,
    /// With the channels last, as the values lie.
    Pixels,
    /// With the channels first, in f32: cuDNN has few groups of channels that lie last, and in
    /// bf16 its gradients of grouped weights were wrong (that of PyTorch 2.11, on an H200).
    Planes,
}

impl Way {
    fn of(geometry: &Geometry) -> Self {
        let is_plain = |axis: super::geometry::Axis| {
            axis.kernel == 1 && axis.stride == 1 && axis.padding == 0
        };
        if geometry.groups > 1 {
            Self::Planes
        } else if is_plain(geometry.y) && is_plain(geometry.x) {
            Self::Product
        } else {
            Self::Pixels
        }
    }
}

/// Applies what follows a convolution or a linear layer, in place.
pub(crate) fn follow(y: &Tensor, after: After<'_>) -> Result<()> {
    let After { shift, added, bounds } = after;
    if shift.is_none() && added.is_none() && bounds == Bounds::NONE {
        return Ok(());
    }
    let channels = y.dim(1)?;
    let of = |tensor: Option<&Tensor>| tensor.map_or(Ok(Arg::Pointer(0)), at);
    let tensors = [at(y)?, of(shift)?, of(added)?];
    let width = width(channels, &tensors);
    let threads = y.elem_count() / width;
    let rest =
        [bounds.low.into(), bounds.high.into(), Arg::Int(channels as u32), count(threads)?];
    let name = format!("epilogue_{width}_{}", suffix(y)?);
    let kernel = Kernel { source: Source::CONV, name };
    let args = [&tensors[..], &rest].concat();
    // SAFETY: the shift has a value for each channel, and what is added the shape of `y`.
    unsafe { launch(gpu(y)?, &kernel, Grid::of(threads), &args) }
}

/// The weights as `[output][element][input]`, each output times its scale, of a type; themselves
/// where that is the same.
fn packed(
    geometry: &Geometry,
    (w, scale): (&Tensor, Option<&Tensor>),
    dtype: DType,
) -> Result<Tensor> {
    if geometry.elements() == 1 && scale.is_none() {
        return cast(w, dtype);
    }
    let device = gpu(w)?;
    let packed = empty(device, dtype, w.shape())?;
    let count = w.elem_count();
    let args = [
        at(w)?,
        scale.map(at).transpose()?.unwrap_or(Arg::Pointer(0)),
        at(&packed)?,
        geometry.inputs.into(),
        geometry.elements().into(),
        count.into(),
    ];
    let kernel =
        Kernel { source: Source::CONV, name: format!("pack_{}", suffix(&packed)?) };
    // SAFETY: both have as many values, and the scale one for each output.
    unsafe { launch(device, &kernel, Grid::of(count), &args)? };
    Ok(packed)
}

/// Row-major weights, each output times its scale.
fn scaled(geometry: &Geometry, (w, scale): (&Tensor, Option<&Tensor>)) -> Result<Tensor> {
    match scale {
        None => Ok(w.clone()),
        Some(scale) => w.broadcast_mul(&scale.reshape((scale.elem_count(), 1, 1, 1))?),
    }
    .and_then(|w| w.reshape(geometry.weights()))
}

/// Dense images in f32, with their channels first.
fn in_planes(images: &Tensor) -> Result<Tensor> {
    planes(&cast(images, DType::F32)?)
}

/// A gradient of packed weights in the order of the weights.
fn unpacked(geometry: &Geometry, packed: &Tensor) -> Result<Tensor> {
    let device = gpu(packed)?;
    let dw = empty(device, DType::F32, geometry.weights())?;
    let count = dw.elem_count();
    let args = [
        at(packed)?,
        at(&dw)?,
        geometry.inputs.into(),
        geometry.elements().into(),
        count.into(),
    ];
    let kernel =
        Kernel { source: Source::CONV, name: format!("unpack_{}", suffix(packed)?) };
    // SAFETY: both have as many values.
    unsafe { launch(device, &kernel, Grid::of(count), &args)? };
    Ok(dw)
}

/// The weights of a convolution of single pixels as `[O, C]`.
fn matrix(geometry: &Geometry, w: &Tensor) -> Result<Tensor> {
    w.reshape((geometry.outputs, geometry.inputs))
}

/// Dense images as a matrix `[pixels, C]`.
fn pixels(images: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = images.dims4()?;
    images.permute((0, 2, 3, 1))?.reshape((batch * height * width, channels))
}

/// A matrix `[pixels, C]` as dense images.
fn images(
    pixels: &Tensor,
    (batch, channels, height, width): (usize, usize, usize, usize),
) -> Result<Tensor> {
    pixels.reshape((batch, height, width, channels))?.permute((0, 3, 1, 2))
}

/// A number of threads as kernels count them.
fn count(threads: usize) -> Result<Arg> {
    match u32::try_from(threads) {
        Ok(threads) => Ok(Arg::Int(threads)),
        Err(_) => bail!("a batch of {threads} values is TOO_LARGE for a GPU"),
    }
}
