//! Pooling on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor};

use super::window::{Axis, Windows};
use crate::{
    activation::Bounds,
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, laid_out, launch, to_device, width},
    map::cuda::{expect_alike, suffix},
    node::{End, Operator, Way},
};

/// The maxima of a dense batch, and the way back.
pub(super) fn max(x: &Tensor, windows: Windows) -> Result<(Tensor, MaxPool)> {
    let device = gpu(x)?;
    let y = laid_out(device, x.dtype(), windows.shape())?;
    let maxima = empty(device, DType::U32, y.elem_count())?;
    let args = [&[at(x)?, at(&y)?, at(&maxima)?], &sizes(&windows)[..]].concat();
    // SAFETY: a batch of that size, and tensors of the size of the result.
    unsafe { start("max", &y, &args)? };
    Ok((y, MaxPool { windows, maxima }))
}

/// The averages of a dense batch.
pub(super) fn average(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    let y = laid_out(gpu(x)?, x.dtype(), windows.shape())?;
    let args = [&[at(x)?, at(&y)?], &sizes(windows)[..]].concat();
    // SAFETY: a batch of that size, and a tensor of the size of the result.
    unsafe { start("avg", &y, &args)? };
    Ok(y)
}

/// The gradient of what [`average`] was given.
pub(super) fn average_back(dy: &Tensor, windows: &Windows) -> Result<Tensor> {
    let dx = laid_out(gpu(dy)?, dy.dtype(), windows.input_shape())?;
    let args = [&[at(dy)?, at(&dx)?], &sizes(windows)[..]].concat();
    // SAFETY: a gradient of the size of the result, and one of the size of the batch.
    unsafe { start("avg_back", &dx, &args)? };
    Ok(dx)
}

/// The averages of adaptive windows of a dense batch.
pub(super) fn adaptive(x: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let y = laid_out(gpu(x)?, x.dtype(), (batch, channels, size.0, size.1))?;
    let sizes = [height, width, size.0, size.1].map(int);
    let args = [&[at(x)?, at(&y)?], &sizes[..]].concat();
    // SAFETY: a batch of that size, and a tensor of the size of the result.
    unsafe { start("adaptive", &y, &args)? };
    Ok(y)
}

/// The gradient of what [`adaptive`] was given, images of size `input`.
pub(super) fn adaptive_back(dy: &Tensor, input: (usize, usize)) -> Result<Tensor> {
    let (batch, channels, height, width) = dy.dims4()?;
    let dx = laid_out(gpu(dy)?, dy.dtype(), (batch, channels, input.0, input.1))?;
    let sizes = [input.0, input.1, height, width].map(int);
    let args = [&[at(dy)?, at(&dx)?], &sizes[..]].concat();
    // SAFETY: a gradient of the size of the result, and one of the size of the batch.
    unsafe { start("adaptive_back", &dx, &args)? };
    Ok(dx)
}

/// The way back through maxima.
#[derive(Debug)]
pub(super) struct MaxPool {
    windows: Windows,
    /// The pixel of its image that the maximum of each output is from, in u32.
    maxima: Tensor,
}

impl Operator for MaxPool {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let device = gpu(dy)?;
        let windows = Windows { batch: dy.dim(0)?, ..self.windows };
        let dx = laid_out(device, dy.dtype(), windows.input_shape())?;
        let some = way.rows().map(|rows| to_device(device, rows.to_vec(), rows.len()));
        let some = some.transpose()?;
        let End { added, clipped } = way.take_end()?;
        let bounds = clipped.as_ref().map_or(Bounds::NONE, |(_, bounds)| *bounds);
        let y = clipped.as_ref().map(|(y, _)| y);
        for other in added.iter().chain(y) {
            expect_alike(&dx, other)?;
        }
        let of = |tensor: Option<&Tensor>| tensor.map_or(Ok(Arg::Pointer(0)), at);
        let args = [
            at(dy)?,
            at(&self.maxima)?,
            of(some.as_ref())?,
            of(added.as_ref())?,
            of(y)?,
            at(&dx)?,
            bounds.low.into(),
            bounds.high.into(),
        ];
        let args = [&args[..], &sizes(&windows)].concat();
        // SAFETY: a gradient of the size of the rows of the result, which are rows of the
        // maxima, and tensors of the size of these rows of the batch.
        unsafe { start("max_back", &dx, &args)? };
        Ok(vec![Some(dx)])
    }
}

/// Windows as arguments, but for the channels.
fn sizes(windows: &Windows) -> [Arg; 10] {
    let of = |axis: &Axis| {
        [axis.size, axis.kernel, axis.stride, axis.padding, axis.outputs].map(int)
    };
    let ([a, b, c, d, e], [f, g, h, i, j]) = (of(&windows.rows), of(&windows.columns));
    [a, b, c, d, e, f, g, h, i, j]
}

fn int(size: usize) -> Arg {
    Arg::Int(size as u32)
}

/// Starts a kernel that writes each value of `to`, a dense tensor; its last argument, after these,
/// is the number of channels.
///
/// # Safety
///
/// As [`launch`].
unsafe fn start(name: &str, to: &Tensor, args: &[Arg]) -> Result<()> {
    let (batch, channels, height, columns) = to.dims4()?;
    if to.elem_count() == 0 {
        return Ok(());
    }
    let width = width(channels, args);
    let row = columns * (channels / width);
    // a row of few values takes a small block, of whole warps
    let threads = row.next_multiple_of(32).min(Grid::THREADS as usize);
    let blocks = ((batch * height) as u32, row.div_ceil(threads) as u32, 1);
    let grid = Grid { blocks, threads: (threads as u32, 1, 1) };
    let kernel =
        Kernel { source: Source::POOL, name: format!("{name}_{}_{width}", suffix(to)?) };
    let args = [args, &[int(channels)]].concat();
    // SAFETY: as the caller promises.
    unsafe { launch(gpu(to)?, &kernel, grid, &args) }
}
