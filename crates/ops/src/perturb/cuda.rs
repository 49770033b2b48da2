//! Signs, and what is pushed by them, on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Device, Result, Tensor};

use super::Signs;
use crate::{
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, launch, to_device},
    host,
    map::cuda::cast,
    row_major, storage,
};

/// Threads of the block that looks through a map.
const THREADS: u32 = 512;

pub(super) fn signs(values: &Tensor) -> Result<Signs> {
    let (batch, channels, height, width) = values.dims4()?;
    let device = gpu(values)?;
    let values = cast(&storage::dense(values)?, DType::F32)?;
    let bytes = (channels * height * width).div_ceil(8);
    let bits = empty(device, DType::U8, (batch, bytes))?;
    let flags = Tensor::zeros(batch, DType::F32, &Device::Cuda(device.clone()))?;
    let sizes = [channels, height * width, bytes].map(|size| Arg::Int(size as u32));
    let args = [at(&values)?, at(&bits)?, at(&flags)?];
    // SAFETY: values with their channels last, a byte for eight of an image, and a flag each.
    unsafe { each("signs", &bits, &[&args, &sizes])? };
    let finite = host(&flags)?.into_iter().map(|flag| flag == 0.0).collect();
    Ok(Signs { bits, finite })
}

pub(super) fn push(
    images: &Tensor,
    rows: &[u32],
    signs: &Tensor,
    maps: &Tensor,
    epsilon: &[f32],
) -> Result<Tensor> {
    let device = gpu(images)?;
    let (_, channels, height, width) = images.dims4()?;
    let (count, h, w) = maps.dims3()?;
    let images = cast(&row_major(images)?, DType::F32)?;
    let signs = signs.contiguous()?;
    let maps = to_device(device, host(maps)?, (count, h, w))?;
    let steps = to_device(device, epsilon.to_vec(), channels)?;
    let which = to_device(device, rows.to_vec(), count)?;
    let ranges = empty(device, DType::F32, (count, 2))?;
    let pushed = empty(device, DType::F32, (count, channels, height, width))?;
    let sizes = [h, w, height, width].map(|size| Arg::Int(size as u32));
    let kernel = Kernel { source: Source::PERTURB, name: "range".to_owned() };
    let grid = Grid { blocks: (count as u32, 1, 1), threads: (THREADS, 1, 1) };
    let args = [&[at(&maps)?, at(&ranges)?][..], &sizes].concat();
    // SAFETY: a block, and two numbers, for each map of that size.
    unsafe { launch(device, &kernel, grid, &args)? };
    let args =
        [at(&images)?, at(&which)?, at(&signs)?, at(&maps)?, at(&ranges)?, at(&steps)?];
    let bytes = (channels * height * width).div_ceil(8);
    let more = [channels, bytes].map(|size| Arg::Int(size as u32));
    let pixels = pushed.narrow(1, 0, 1)?;
    // SAFETY: rows of the images, and for each of them signs, a map, its range, and a result.
    unsafe { each("push", &pixels, &[&args, &[at(&pushed)?], &sizes, &more])? };
    Ok(pushed)
}

pub(super) fn pgd_step(
    images: &Tensor,
    perturbed: &Tensor,
    signs: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    let (_, channels, height, width) = images.dims4()?;
    let images = cast(&row_major(images)?, DType::F32)?;
    let perturbed = cast(&row_major(perturbed)?, DType::F32)?;
    let signs = signs.contiguous()?;
    let next = empty(gpu(&images)?, DType::F32, images.shape())?;
    let length = channels * height * width;
    let args =
        [at(&images)?, at(&perturbed)?, at(&signs)?, at(&next)?, Arg::Float(epsilon)];
    let sizes = [length.into(), length.div_ceil(8).into()];
    // SAFETY: three batches of images of one shape, and a bit for each of their values.
    unsafe { each("pgd_step", &next, &[&args, &sizes])? };
    Ok(next)
}

/// Starts a kernel of as many threads as the tensor has values; their number is the last
/// argument.
///
/// # Safety
///
/// As [`launch`].
unsafe fn each(name: &str, tensor: &Tensor, args: &[&[Arg]]) -> Result<()> {
    let count = tensor.elem_count();
    let args = [args.concat(), vec![count.into()]].concat();
    let kernel = Kernel { source: Source::PERTURB, name: name.to_owned() };
    // SAFETY: as the caller promises.
    unsafe { launch(gpu(tensor)?, &kernel, Grid::of(count), &args) }
}
