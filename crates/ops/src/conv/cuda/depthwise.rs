//! Depthwise convolutions, by kernels of our own.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor};

use super::super::{After, geometry::Geometry};

use crate::{
    activation::Bounds,
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, laid_out, launch},
    map::cuda::suffix,
    node::End,
};

/// Elements of a kernel whose sums a thread keeps: `ELEMENTS` of `conv.cu`.
const ELEMENTS: usize = 9;
/// Stretches of pixels at most, whose sums are joined.
const STRETCHES: usize = 512;

pub(super) fn forward(
    geometry: &Geometry,
    x: &Tensor,
    w: (&Tensor, Option<&Tensor>),
    after: After<'_>,
) -> Result<Tensor> {
    let device = gpu(x)?;
    let y = laid_out(device, x.dtype(), geometry.result())?;
    let packed = packed(geometry, w)?;
    let lanes = super::lanes(geometry.groups);
    let count = y.elem_count() / lanes;
    let (bounds, none) = (after.bounds, Arg::Pointer(0));
    let args = [
        at(x)?,
        at(&packed)?,
        at(&y)?,
        after.shift.map(at).transpose()?.unwrap_or(none),
        after.added.map(at).transpose()?.unwrap_or(none),
        bounds.low.into(),
        bounds.high.into(),
        sizes(geometry),
        super::count(count)?,
    ];
    let kernel = kernel("depthwise", lanes, x)?;
    // SAFETY: the tensors are of the sizes that the geometry gives.
    unsafe { launch(device, &kernel, Grid::of(count), &args)? };
    Ok(y)
}

pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &Tensor,
    w: (&Tensor, Option<&Tensor>),
    end: &End,
) -> Result<Tensor> {
    let device = gpu(dy)?;
    let dx = laid_out(device, dy.dtype(), geometry.input())?;
    let packed = packed(geometry, w)?;
    let lanes = super::lanes(geometry.groups);
    let count = dx.elem_count() / lanes;
    let bounds = end.clipped.as_ref().map_or(Bounds::NONE, |(_, bounds)| *bounds);
    let none = Arg::Pointer(0);
    let args = [
        at(dy)?,
        at(&packed)?,
        at(&dx)?,
        end.added.as_ref().map(at).transpose()?.unwrap_or(none),
        end.clipped.as_ref().map(|(y, _)| at(y)).transpose()?.unwrap_or(none),
        bounds.low.into(),
        bounds.high.into(),
        sizes(geometry),
        super::count(count)?,
    ];
    let kernel = kernel("depthwise_data", lanes, dy)?;
    // SAFETY: the tensors are of the sizes that the geometry gives.
    unsafe { launch(device, &kernel, Grid::of(count), &args)? };
    Ok(dx)
}

/// The gradient of the weights, `[C, 1, Kh, Kw]`: sums over stretches of pixels, and their sum.
pub(super) fn backward_weight(
    geometry: &Geometry,
    x: &Tensor,
    dy: &Tensor,
) -> Result<Tensor> {
    let device = gpu(x)?;
    let (channels, elements) = (geometry.groups, geometry.elements());
    let pixels = geometry.batch * geometry.y.output * geometry.x.output;
    let groups = channels.div_ceil(32);
    // enough blocks for a large GPU, of pixels enough to be worth their sums
    let stretches = (4096 / groups).clamp(1, STRETCHES).min(pixels.div_ceil(64));
    let parts = empty(device, DType::F32, (stretches, elements, channels))?;
    let kernel =
        Kernel { source: Source::CONV, name: format!("depthwise_weight_{}", suffix(x)?) };
    let blocks = (stretches as u32, groups as u32, elements.div_ceil(ELEMENTS) as u32);
    let grid = Grid { blocks, threads: (32, 8, 1) };
    let args = [at(x)?, at(dy)?, at(&parts)?, sizes(geometry), super::count(pixels)?];
    // SAFETY: the tensors are of the sizes that the geometry gives; the parts as many as blocks.
    unsafe { launch(device, &kernel, grid, &args)? };
    let shape = (channels, 1, geometry.y.kernel, geometry.x.kernel);
    let dw = empty(device, DType::F32, shape)?;
    let kernel = Kernel { source: Source::CONV, name: "join_depthwise".to_owned() };
    let args = [at(&parts)?, at(&dw)?, stretches.into(), channels.into(), elements.into()];
    // SAFETY: as many parts as were made, and a result of one of them.
    unsafe { launch(device, &kernel, Grid::of(channels * elements), &args)? };
    Ok(dw)
}

/// The weights as `[element][channel]`, each channel times its scale.
fn packed(geometry: &Geometry, (w, scale): (&Tensor, Option<&Tensor>)) -> Result<Tensor> {
    let (channels, elements) = (geometry.groups, geometry.elements());
    let packed = empty(gpu(w)?, DType::F32, (elements, channels))?;
    let scale = scale.map(at).transpose()?.unwrap_or(Arg::Pointer(0));
    let args = [at(w)?, scale, at(&packed)?, channels.into(), elements.into()];
    let kernel = Kernel { source: Source::CONV, name: "pack_depthwise".to_owned() };
    // SAFETY: weights and result have as many values, the scale one for each channel.
    unsafe { launch(gpu(w)?, &kernel, Grid::of(channels * elements), &args)? };
    Ok(packed)
}

fn kernel(name: &str, lanes: usize, x: &Tensor) -> Result<Kernel> {
    let name = format!("{name}_{lanes}_{}", suffix(x)?);
    Ok(Kernel { source: Source::CONV, name })
}

/// `Sizes` of `conv.cu`.
fn sizes(geometry: &Geometry) -> Arg {
    let (y, x) = (geometry.y, geometry.x);
    Arg::Sizes(
        [
            geometry.groups,
            y.input,
            x.input,
            y.output,
            x.output,
            y.kernel,
            x.kernel,
            y.stride,
            x.stride,
            y.padding,
            x.padding,
            y.dilation,
            x.dilation,
        ]
        .map(|size| size as i32)
        .into(),
    )
}
