//! How the threads of a GPU are laid over pixels and channels.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor};

use super::channel::Pixels;
use crate::{
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, launch, width},
    map::cuda::suffix,
};

/// Threads of a block: `THREADS` of the kernels.
const THREADS: usize = 256;
/// Pixels that a thread of a pass over memory has: `PIXELS` of the kernels.
const PIXELS: usize = 4;
/// Values of a channel that a thread sums, at least: many against the cost of their sum.
const VALUES: usize = 8;
/// Blocks that sum at a time, four on each multiprocessor of an H100; the same number everywhere,
/// as the order of the sums depends on it.
const BLOCKS: usize = 528;
/// Groups of channels side by side in a block, at most.
const GROUPS: usize = 64;
/// Channels whose partial sums are added in a block, and threads for each.
const FINISH: (usize, usize) = (8, 32);

/// Blocks of groups of channels by rows of pixels.
struct Tiles {
    /// Channels of a group.
    width: usize,
    /// Groups of a block.
    groups: usize,
    /// Rows of a block.
    rows: usize,
    /// Blocks for all channels of a pixel.
    count: usize,
}

impl Tiles {
    /// Those of kernels with these arguments.
    fn of(shape: Pixels, args: &[Arg]) -> Self {
        let width = width(shape.channels, args);
        let groups = (shape.channels / width).max(1);
        let count = groups.div_ceil(GROUPS);
        // as even as they can be: few threads have nothing to do
        let groups = groups.div_ceil(count);
        Self { width, groups, rows: THREADS / groups, count }
    }

    fn grid(&self, pieces: usize) -> Grid {
        let threads = (self.groups as u32, self.rows as u32, 1);
        Grid { blocks: (pieces as u32, self.count as u32, 1), threads }
    }

    fn kernel(&self, name: &str, x: &Tensor) -> Result<Kernel> {
        let name = format!("{name}_{}_{}", suffix(x)?, self.width);
        Ok(Kernel { source: Source::BATCH_NORM, name })
    }
}

/// Starts a kernel that makes something of each value of a batch like `x`. Its last arguments,
/// after these, are the numbers of pixels and of channels.
///
/// # Safety
///
/// As [`launch`].
pub(super) unsafe fn pass_over(
    name: &str,
    x: &Tensor,
    shape: Pixels,
    args: &[Arg],
) -> Result<()> {
    let Pixels { count, channels } = shape;
    let tiles = Tiles::of(shape, args);
    let grid = tiles.grid(count.div_ceil(tiles.rows * PIXELS).max(1));
    let args = [args, &[count.into(), Arg::Int(channels as u32)]].concat();
    // SAFETY: as the caller promises.
    unsafe { launch(gpu(x)?, &tiles.kernel(name, x)?, grid, &args) }
}

/// Starts a kernel that sums over the pixels of a batch like `x`: `[rows, 2, C]` in f64, which
/// are to be added by [`finish`]. Between these arguments is where it writes them; its last ones
/// are the pixels of a block, and the numbers of pixels and of channels.
///
/// # Safety
///
/// As [`launch`].
pub(super) unsafe fn sums(
    name: &str,
    x: &Tensor,
    shape: Pixels,
    args: (&[Arg], &[Arg]),
) -> Result<Tensor> {
    let Pixels { count, channels } = shape;
    let tiles = Tiles::of(shape, args.0);
    let most = (BLOCKS / tiles.count).max(1);
    let pieces = count.div_ceil(tiles.rows * VALUES).clamp(1, most);
    let piece = count.div_ceil(pieces);
    let partial = empty(gpu(x)?, DType::F64, (pieces, 2, channels))?;
    let sizes = [piece.into(), count.into(), Arg::Int(channels as u32)];
    let args = [args.0, &[at(&partial)?], args.1, &sizes].concat();
    // SAFETY: as the caller promises; a block for each row of the sums.
    unsafe { launch(gpu(x)?, &tiles.kernel(name, x)?, tiles.grid(pieces), &args)? };
    Ok(partial)
}

/// Starts a kernel that adds the rows of what [`sums`] gave, and makes something of each channel.
/// Its first arguments, before these, are the sums and their rows, its last one the number of
/// channels.
///
/// # Safety
///
/// As [`launch`].
pub(super) unsafe fn finish(name: &str, partial: &Tensor, args: &[Arg]) -> Result<()> {
    let (rows, _, channels) = partial.dims3()?;
    let blocks = (1, channels.div_ceil(FINISH.0).max(1) as u32, 1);
    let grid = Grid { blocks, threads: (FINISH.0 as u32, FINISH.1 as u32, 1) };
    let kernel = Kernel { source: Source::BATCH_NORM, name: name.to_owned() };
    let args = [&[at(partial)?, rows.into()], args, &[Arg::Int(channels as u32)]].concat();
    // SAFETY: as the caller promises.
    unsafe { launch(gpu(partial)?, &kernel, grid, &args) }
}
