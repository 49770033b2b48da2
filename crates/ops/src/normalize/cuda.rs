//! Normalisation of pixels on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor, bail};

use crate::{
    cuda::{
        Arg, Grid, Kernel, Precision, Source, at, gpu, laid_out, launch, precision, width,
    },
    map::cuda::suffix,
    storage,
};

/// `(x - mean) / std` of pixels, in the type of activations.
pub(super) fn forward(x: &Tensor, mean: &[f32; 3], std: &[f32; 3]) -> Result<Tensor> {
    let (batch, _, height, columns) = x.dims4()?;
    if x.dtype() != DType::F32 {
        bail!("normalize: expected pixels in f32, found {:?}", x.dtype());
    }
    let dtype = if precision() == Precision::Bf16 { DType::BF16 } else { DType::F32 };
    let y = laid_out(gpu(x)?, dtype, x.shape())?;
    // images come as planes: turned on the way
    let is_planes = x.is_contiguous();
    let values = if is_planes { x.clone() } else { storage::dense(x)? };
    let plane = if is_planes { height * columns } else { 0 };
    let pixels = batch * height * columns;
    let mut args = vec![at(&values)?, at(&y)?, plane.into()];
    args.extend([mean, std].into_iter().flatten().map(|value| Arg::Float(*value)));
    let row = if is_planes { plane } else { pixels };
    // SAFETY: two tensors of as many pixels of three channels.
    unsafe { start("normalize", &y, row, pixels, args)? };
    Ok(y)
}

/// The gradient of pixels.
pub(super) fn backward(dy: &Tensor, std: &[f32; 3]) -> Result<Tensor> {
    let dx = laid_out(gpu(dy)?, DType::F32, dy.shape())?;
    let pixels = dy.elem_count() / 3;
    let mut args = vec![at(dy)?, at(&dx)?];
    args.extend(std.map(Arg::Float));
    // SAFETY: two tensors of as many pixels of three channels.
    unsafe { start("back", dy, pixels, pixels, args)? };
    Ok(dx)
}

/// Starts a kernel for the type of `values`, which takes rows of `row` pixels a few at a time; its
/// last argument, after these, is the number of pixels.
///
/// # Safety
///
/// As [`launch`].
unsafe fn start(
    name: &str,
    values: &Tensor,
    row: usize,
    pixels: usize,
    mut args: Vec<Arg>,
) -> Result<()> {
    let width = width(row, &args);
    args.push(pixels.into());
    let name = format!("{name}_{}_{width}", suffix(values)?);
    let kernel = Kernel { source: Source::NORMALIZE, name };
    // SAFETY: as the caller promises.
    unsafe { launch(gpu(values)?, &kernel, Grid::of(pixels / width), &args) }
}
