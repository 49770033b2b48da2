//! Depthwise convolutions, by kernels of our own.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor};

use super::super::{After, geometry::Geometry};
use crate::{
    activation::Bounds,
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, laid_out, launch, width},
    map::cuda::suffix,
    node::End,
};

/// Elements of a kernel whose sums a thread keeps: `ELEMENTS` of `depthwise.cu`.
const ELEMENTS: usize = 9;
/// Results that a thread has in a row, of kernels of 3 x 3: `ROW` of `depthwise.cu`.
const ROW: usize = 4;
/// Sums of each weight that are joined, at most.
const PARTS: usize = 512;

/// The result, as [`super::forward`].
pub(super) fn forward(
    geometry: &Geometry,
    x: &Tensor,
    w: (&Tensor, Option<&Tensor>),
    after: After<'_>,
) -> Result<Tensor> {
    let y = laid_out(gpu(x)?, x.dtype(), geometry.result())?;
    let packed = packed(geometry, w, false)?;
    let ends =
        Ends { shift: after.shift, added: after.added, passed: None, bounds: after.bounds };
    let args = [at(x)?, at(&packed)?, at(&y)?];
    run(Name::Forward, geometry, (x, &y), &args, ends)?;
    Ok(y)
}

/// The gradient of `x`, as [`super::backward_data`].
pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &Tensor,
    w: (&Tensor, Option<&Tensor>),
    end: &End,
) -> Result<Tensor> {
    let dx = laid_out(gpu(dy)?, dy.dtype(), geometry.input())?;
    let clipped = end.clipped.as_ref();
    let ends = Ends {
        shift: None,
        added: end.added.as_ref(),
        passed: clipped.map(|(y, _)| y),
        bounds: clipped.map_or(Bounds::NONE, |(_, bounds)| *bounds),
    };
    // the gradient of a stride of 1 is the same convolution, of the gradient
    let turned = is_plain(geometry, 1).then(|| geometry.turned());
    let packed = packed(geometry, w, turned.is_some())?;
    let args = [at(dy)?, at(&packed)?, at(&dx)?];
    match turned {
        Some(turned) => run(Name::Forward, &turned, (dy, &dx), &args, ends)?,
        None => run(Name::Data, geometry, (dy, &dx), &args, ends)?,
    }
    Ok(dx)
}

/// The gradient of the weights, `[C, 1, Kh, Kw]`: sums over parts of the pixels, and their sum.
pub(super) fn backward_weight(
    geometry: &Geometry,
    x: &Tensor,
    dy: &Tensor,
) -> Result<Tensor> {
    let device = gpu(x)?;
    let (channels, elements) = (geometry.groups, geometry.elements());
    let (groups, suffix) = (channels.div_ceil(32), suffix(x)?);
    let lines = geometry.batch * geometry.y.output;
    let pixels = lines * geometry.x.output;
    // enough blocks for a large GPU
    let parts = (1024 / groups).clamp(1, PARTS);
    let stride = (1..=2).find(|&stride| is_plain(geometry, stride));
    let (name, grid, parts, count) = match stride {
        Some(stride) if width(channels, &[at(x)?, at(dy)?]) == 4 => {
            let parts = parts.min(lines.div_ceil(32));
            let blocks = (parts as u32, groups as u32, 1);
            let grid = Grid { blocks, threads: (8, 32, 1) };
            (format!("weight_3_{stride}_{suffix}"), grid, parts, lines)
        }
        _ => {
            let parts = parts.min(pixels.div_ceil(64));
            let blocks = (parts as u32, groups as u32, elements.div_ceil(ELEMENTS) as u32);
            let grid = Grid { blocks, threads: (32, 8, 1) };
            (format!("weight_{suffix}"), grid, parts, pixels)
        }
    };
    let sums = empty(device, DType::F32, (parts, elements, channels))?;
    let args = [at(x)?, at(dy)?, at(&sums)?, sizes(geometry), super::count(count)?];
    let kernel = Kernel { source: Source::DEPTHWISE, name };
    // SAFETY: the tensors are of the sizes that the geometry gives, the sums as many as blocks.
    unsafe { launch(device, &kernel, grid, &args)? };
    let dw = empty(device, DType::F32, geometry.weights())?;
    join(&sums, &dw, (parts, channels, elements))?;
    Ok(dw)
}

/// The sum of parts `[parts, elements, channels]`, as `[channels, elements]`.
pub(super) fn join(
    sums: &Tensor,
    sum: &Tensor,
    (parts, channels, elements): (usize, usize, usize),
) -> Result<()> {
    let kernel = Kernel { source: Source::DEPTHWISE, name: "join".to_owned() };
    let blocks = ((channels * elements).div_ceil(32) as u32, 1, 1);
    let grid = Grid { blocks, threads: (32, 8, 1) };
    let args = [at(sums)?, at(sum)?, parts.into(), channels.into(), elements.into()];
    // SAFETY: as many parts as there are, and a result of one of them.
    unsafe { launch(gpu(sums)?, &kernel, grid, &args) }
}

/// Which way: from the input, or back to it.
#[derive(Clone, Copy, PartialEq)]
enum Name {
    Forward,
    Data,
}

/// What is done with a sum before it is written: `After` of `depthwise.cu`.
#[derive(Clone, Copy)]
struct Ends<'a> {
    shift: Option<&'a Tensor>,
    added: Option<&'a Tensor>,
    passed: Option<&'a Tensor>,
    bounds: Bounds,
}

/// Starts the fastest kernel for these sizes.
fn run(
    name: Name,
    geometry: &Geometry,
    (from, to): (&Tensor, &Tensor),
    tensors: &[Arg; 3],
    ends: Ends<'_>,
) -> Result<()> {
    let Ends { shift, added, passed, bounds } = ends;
    let of = |tensor: Option<&Tensor>| tensor.map_or(Ok(Arg::Pointer(0)), at);
    let ends = [of(shift)?, of(added)?, of(passed)?, bounds.low.into(), bounds.high.into()];
    let (channels, suffix) = (geometry.groups, suffix(from)?);
    let width = width(channels, &[&tensors[..], &ends[..3]].concat());
    let plain = (1..=2).find(|&stride| is_plain(geometry, stride) && width == 4);
    let (_, _, rows, columns) = to.dims4()?;
    let in_rows = geometry.batch * rows * columns.div_ceil(ROW) * channels / width;
    let (name, count) = match (name, plain) {
        (Name::Forward, Some(stride)) => (format!("forward_3_{stride}_{suffix}"), in_rows),
        (Name::Data, Some(2)) => (format!("data_3_2_{suffix}"), in_rows),
        (Name::Forward, None) => {
            (format!("forward_{width}_{suffix}"), to.elem_count() / width)
        }
        (Name::Data, _) => (format!("data_{width}_{suffix}"), to.elem_count() / width),
    };
    let args = [&tensors[..], &ends, &[sizes(geometry), super::count(count)?]].concat();
    let kernel = Kernel { source: Source::DEPTHWISE, name };
    // SAFETY: the tensors are of the sizes that the geometry gives.
    unsafe { launch(gpu(from)?, &kernel, Grid::of(count), &args) }
}

/// Whether it is one of 3 x 3 elements side by side, of this stride and a padding of 1.
fn is_plain(geometry: &Geometry, stride: usize) -> bool {
    [geometry.y, geometry.x].iter().all(|axis| {
        (axis.kernel, axis.stride, axis.padding, axis.dilation) == (3, stride, 1, 1)
    })
}

/// The weights as `[element][channel]`, each channel times its scale.
fn packed(
    geometry: &Geometry,
    (w, scale): (&Tensor, Option<&Tensor>),
    flipped: bool,
) -> Result<Tensor> {
    let (channels, elements) = (geometry.groups, geometry.elements());
    let packed = empty(gpu(w)?, DType::F32, (elements, channels))?;
    let scale = scale.map_or(Ok(Arg::Pointer(0)), at)?;
    let flipped = Arg::Int(flipped.into());
    let args = [at(w)?, scale, at(&packed)?, channels.into(), elements.into(), flipped];
    let kernel = Kernel { source: Source::DEPTHWISE, name: "pack".to_owned() };
    // SAFETY: weights and result have as many values, the scale one for each channel.
    unsafe { launch(gpu(w)?, &kernel, Grid::of(channels * elements), &args)? };
    Ok(packed)
}

/// `Sizes` of `depthwise.cu`.
fn sizes(geometry: &Geometry) -> Arg {
    let (y, x) = (geometry.y, geometry.x);
    let sizes = [
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
    ];
    Arg::Sizes(sizes.map(|size| size as i32).into())
}
