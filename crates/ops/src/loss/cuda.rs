//! Losses on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::{
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, launch, to_device},
    node::{Operator, Way},
};

/// Samples of a block, each of a warp.
const SAMPLES: usize = 4;
const WARP: u32 = 32;

/// The cross entropies of dense logits, and the way back; the labels are classes of theirs.
pub(super) fn cross_entropy(z: Tensor, labels: &[usize]) -> Result<(Tensor, Backward)> {
    let labels: Vec<u32> = labels.iter().map(|label| *label as u32).collect();
    let samples = labels.len();
    let labels = to_device(gpu(&z)?, labels, samples)?;
    let losses = losses("cross_entropy", &z, &labels)?;
    Ok((losses, Backward { kind: Kind::CrossEntropy, z, targets: labels }))
}

/// The binary cross entropies of dense logits, and the way back; targets of one shape with them.
pub(super) fn binary(z: Tensor, targets: &Tensor) -> Result<(Tensor, Backward)> {
    let targets = targets.to_device(&Device::Cuda(gpu(&z)?.clone()))?.contiguous()?;
    expect_f32(&targets)?;
    let losses = losses("bce", &z, &targets)?;
    Ok((losses, Backward { kind: Kind::Binary, z, targets }))
}

/// The way back through either loss.
#[derive(Debug)]
pub(super) struct Backward {
    kind: Kind,
    z: Tensor,
    /// Labels in u32, or targets in f32.
    targets: Tensor,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    CrossEntropy,
    Binary,
}

impl Operator for Backward {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let Self { kind, z, targets } = self;
        let (operator, name, grid) = match kind {
            Kind::CrossEntropy => ("cross_entropy", "cross_entropy_back", warps(z)?),
            Kind::Binary => ("bce_with_logits", "bce_back", Grid::of(z.elem_count())),
        };
        way.expect_all_rows(operator)?;
        expect_f32(dy)?;
        let dz = empty(gpu(z)?, DType::F32, z.shape())?;
        let args = [at(z)?, at(targets)?, at(dy)?, at(&dz)?];
        // SAFETY: logits and their gradient, targets for them, and a gradient of each loss.
        unsafe { start(name, z, grid, &args)? };
        Ok(vec![Some(dz)])
    }
}

/// The losses of logits with these labels or targets.
fn losses(name: &str, z: &Tensor, targets: &Tensor) -> Result<Tensor> {
    expect_f32(z)?;
    let losses = empty(gpu(z)?, DType::F32, z.dim(0)?)?;
    let args = [at(z)?, at(targets)?, at(&losses)?];
    // SAFETY: logits, targets for them, and a loss for each row.
    unsafe { start(name, z, warps(z)?, &args)? };
    Ok(losses)
}

/// A warp for each row.
fn warps(z: &Tensor) -> Result<Grid> {
    let blocks = z.dim(0)?.div_ceil(SAMPLES).max(1) as u32;
    Ok(Grid { blocks: (blocks, 1, 1), threads: (WARP, SAMPLES as u32, 1) })
}

fn expect_f32(tensor: &Tensor) -> Result<()> {
    if tensor.dtype() != DType::F32 {
        bail!("expected logits, targets and losses in f32, found {:?}", tensor.dtype());
    }
    Ok(())
}

/// Starts a kernel whose last arguments, after these, are the shape of the logits.
///
/// # Safety
///
/// As [`launch`].
unsafe fn start(name: &str, z: &Tensor, grid: Grid, args: &[Arg]) -> Result<()> {
    let (samples, classes) = z.dims2()?;
    let kernel = Kernel { source: Source::LOSS, name: name.to_owned() };
    let args = [args, &[samples.into(), Arg::Int(classes as u32)]].concat();
    // SAFETY: as the caller promises.
    unsafe { launch(gpu(z)?, &kernel, grid, &args) }
}
