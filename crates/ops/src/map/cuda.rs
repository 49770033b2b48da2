//! Loops over the values of tensors on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor, bail};

use crate::{
    activation::Bounds,
    cuda::{
        Arg, Grid, Kernel, Source, at, empty, empty_like, gpu, laid_out, launch, to_device,
    },
    node::End,
};

/// Blocks of a grid along its last dimension, at most.
const MATRICES: usize = 65_535;

/// The sum of two dense tensors.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    expect_alike(a, b)?;
    let sum = empty_like(a)?;
    let args = [at(a)?, at(b)?, at(&sum)?];
    // SAFETY: three tensors of one shape and type.
    unsafe { each("add", a, &args)? };
    Ok(sum)
}

/// The activation of a dense tensor.
pub(crate) fn clip(x: &Tensor, bounds: Bounds) -> Result<Tensor> {
    let y = empty_like(x)?;
    let args = [at(x)?, at(&y)?, bounds.low.into(), bounds.high.into()];
    // SAFETY: two tensors of one shape and type.
    unsafe { each("clip", x, &args)? };
    Ok(y)
}

/// The gradient of what an activation was given, from that of its result `y`.
pub(crate) fn pass(y: &Tensor, dy: &Tensor, bounds: Bounds) -> Result<Tensor> {
    expect_alike(y, dy)?;
    let dx = empty_like(y)?;
    let args = [at(y)?, at(dy)?, at(&dx)?, bounds.low.into(), bounds.high.into()];
    // SAFETY: three tensors of one shape and type.
    unsafe { each("pass", y, &args)? };
    Ok(dx)
}

/// Some rows of the batch of a dense tensor.
pub(crate) fn rows(tensor: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let device = gpu(tensor)?;
    let mut dims = tensor.dims().to_vec();
    let row = tensor.elem_count() / dims[0].max(1);
    dims[0] = rows.len();
    let some = laid_out(device, tensor.dtype(), dims)?;
    let which = to_device(device, rows.to_vec(), rows.len())?;
    let args = [at(tensor)?, at(&which)?, at(&some)?, row.into()];
    // SAFETY: the caller's rows are rows of the tensor, and the result has as many.
    unsafe { each("rows", &some, &args)? };
    Ok(some)
}

/// The images of a row-major tensor with their channels last.
pub(crate) fn pixels(tensor: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = tensor.dims4()?;
    let turned = laid_out(gpu(tensor)?, tensor.dtype(), tensor.shape())?;
    turn(tensor, &turned, batch, (channels, height * width))?;
    Ok(turned)
}

/// The images of a dense tensor in the order of its shape.
pub(crate) fn planes(tensor: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = tensor.dims4()?;
    let turned = empty(gpu(tensor)?, tensor.dtype(), tensor.shape())?;
    turn(tensor, &turned, batch, (height * width, channels))?;
    Ok(turned)
}

/// Writes each of `count` matrices, turned, to a tensor of the same size and type.
fn turn(
    from: &Tensor,
    to: &Tensor,
    count: usize,
    (rows, columns): (usize, usize),
) -> Result<()> {
    let kernel = Kernel { source: Source::MAP, name: format!("turn_{}", suffix(from)?) };
    let tiles = |n: usize| n.div_ceil(32) as u32;
    let matrix = rows * columns * from.dtype().size_in_bytes();
    for start in (0..count).step_by(MATRICES) {
        let matrices = (count - start).min(MATRICES) as u32;
        let blocks = (tiles(columns), tiles(rows), matrices);
        let grid = Grid { blocks, threads: (32, 8, 1) };
        let behind = |arg| match arg {
            Arg::Pointer(address) => Arg::Pointer(address + (start * matrix) as u64),
            other => other,
        };
        let sizes = [Arg::Int(rows as u32), Arg::Int(columns as u32)];
        let args = [behind(at(from)?), behind(at(to)?), sizes[0], sizes[1]];
        // SAFETY: both tensors have `count` matrices of that size.
        unsafe { launch(gpu(from)?, &kernel, grid, &args)? };
    }
    Ok(())
}

/// The same values as another type, where they are not yet.
pub(crate) fn cast(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    if tensor.dtype() == dtype {
        return Ok(tensor.clone());
    }
    let cast = laid_out(gpu(tensor)?, dtype, tensor.shape())?;
    let name = format!("cast_{}_{}", suffix(tensor)?, suffix(&cast)?);
    let count = tensor.elem_count();
    let args = [at(tensor)?, at(&cast)?, count.into()];
    let kernel = Kernel { source: Source::MAP, name };
    // SAFETY: both tensors have as many values.
    unsafe { launch(gpu(tensor)?, &kernel, Grid::of(count), &args)? };
    Ok(cast)
}

/// What is done, in place, with the gradient `dx` of an argument.
pub(crate) fn end(dx: &Tensor, end: &End) -> Result<()> {
    let End { added, clipped } = end;
    if added.is_none() && clipped.is_none() {
        return Ok(());
    }
    let Bounds { low, high } = clipped.as_ref().map_or(Bounds::NONE, |(_, bounds)| *bounds);
    let of = |tensor: Option<&Tensor>| match tensor {
        Some(tensor) => expect_alike(dx, tensor).and_then(|()| at(tensor)),
        None => Ok(Arg::Pointer(0)),
    };
    let (added, y) = (of(added.as_ref())?, of(clipped.as_ref().map(|(y, _)| y))?);
    let args = [at(dx)?, added, y, low.into(), high.into()];
    // SAFETY: tensors of one shape and type.
    unsafe { each("end", dx, &args) }
}

/// What kernels call the type of a tensor's values.
pub(crate) fn suffix(tensor: &Tensor) -> Result<&'static str> {
    match tensor.dtype() {
        DType::F32 => Ok("float"),
        DType::BF16 => Ok("bf16"),
        other => bail!("this operator expects f32 or bf16 on a GPU, found {other:?}"),
    }
}

/// # Errors
///
/// If two tensors are not of one shape and type.
pub(crate) fn expect_alike(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.shape() != b.shape() || a.dtype() != b.dtype() {
        let (a, b) = ((a.shape(), a.dtype()), (b.shape(), b.dtype()));
        bail!("expected tensors of one shape and type, found {a:?} and {b:?}");
    }
    Ok(())
}

/// Starts a kernel of as many threads as the tensor has values; their number is the last
/// argument.
///
/// # Safety
///
/// As [`launch`].
unsafe fn each(name: &str, tensor: &Tensor, args: &[Arg]) -> Result<()> {
    let count = tensor.elem_count();
    let name = format!("{name}_{}", suffix(tensor)?);
    let args = [args, &[count.into()]].concat();
    // SAFETY: as the caller promises.
    unsafe {
        launch(gpu(tensor)?, &Kernel { source: Source::MAP, name }, Grid::of(count), &args)
    }
}
