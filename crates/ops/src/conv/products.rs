//! Sums of shifted products over all channels: the forward pass, and with the kernel
//! turned round the gradient of the input.
//!
//! A task takes a few vectors of positions and goes through blocks of output channels
//! while the inputs are in the cache. Each result is one chain of products, channel by
//! channel and tap by tap: it depends neither on the task nor on the batch.

#![expect(unsafe_code, reason = "tasks write disjoint results of one output")]

use rayon::prelude::*;

use super::{
    epilogue::Epilogue,
    flat::Flat,
    geometry::Pitch,
    grid::Grid,
    kernel::{self, Block, MAX_LANES, MAX_ROWS, Products, VECTORS},
    shared::Shared,
};

/// Weights in the order the kernel reads them: `[group][block][channel][tap][row]`.
#[derive(Debug)]
pub(super) struct Panels {
    values: Vec<f32>,
    /// Elements of one block of rows.
    len: usize,
    /// Blocks of rows in a group.
    pub(super) blocks: usize,
    /// Rows of a block.
    pub(super) rows: usize,
}

/// How the weights of one group lie in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    pub(super) values: &'a [f32],
    pub(super) groups: usize,
    /// Results of a group.
    pub(super) rows: usize,
    /// Channels that are summed.
    pub(super) channels: usize,
    /// Elements from a row to the next, and from a channel to the next.
    pub(super) strides: (usize, usize),
    /// Elements of the kernel to use, in the order of the sum.
    pub(super) taps: &'a [usize],
}

impl Panels {
    /// Packs `weights` into blocks of `block` rows; missing rows are zero.
    pub(super) fn new(weights: &Weights<'_>, block: usize) -> Self {
        let &Weights { values, groups, rows, channels, strides, taps } = weights;
        let group = values.len() / groups;
        let blocks = rows.div_ceil(block);
        let len = channels * taps.len() * block;
        let mut packed = vec![0.0; groups * blocks * len];
        packed.par_chunks_mut(len.max(1)).enumerate().for_each(|(index, panel)| {
            let (g, first) = (index / blocks, index % blocks * block);
            let group = &values[g * group..][..group];
            let rows = block.min(rows - first);
            let channels = panel.chunks_exact_mut(taps.len() * block).enumerate();
            for (channel, panel) in channels {
                let at = first * strides.0 + channel * strides.1;
                for (&tap, to) in taps.iter().zip(panel.chunks_exact_mut(block)) {
                    let from = group[at + tap..].iter().step_by(strides.0);
                    for (to, from) in to[..rows].iter_mut().zip(from) {
                        *to = *from;
                    }
                }
            }
        });
        Self { values: packed, len, blocks, rows: block }
    }

    pub(super) fn panel(&self, block: usize) -> &[f32] {
        &self.values[block * self.len..][..self.len]
    }
}

/// What one tap reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    /// Offset from the position, in the flat layout.
    pub(super) offset: isize,
    /// The same in rows.
    pub(super) rows: isize,
    /// Rows of the plane that it reads.
    pub(super) height: usize,
}

impl Shift {
    /// Whether it meets anything but zeros from one of the rows `first..=last`.
    fn meets(&self, first: usize, last: usize) -> bool {
        first as isize + self.rows < self.height as isize && last as isize + self.rows >= 0
    }
}

/// One sum of shifted products.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum<'a> {
    pub(super) flat: &'a Flat,
    pub(super) taps: &'a [Shift],
    pub(super) pitch: Pitch,
    pub(super) panels: &'a Panels,
    pub(super) grid: &'a Grid,
    /// What is made of each result.
    pub(super) epilogue: Epilogue<'a>,
    pub(super) groups: usize,
    /// Channels of a group that are summed.
    pub(super) inputs: usize,
    /// Results of a group.
    pub(super) outputs: usize,
    /// Elements of one channel of the output.
    pub(super) plane: usize,
}

/// Register blocks of positions that share a task.
const TILES: usize = 4;

impl Sum<'_> {
    /// Writes every result the grid names to `out`.
    ///
    /// # Safety
    ///
    /// `out` has room for what the grid names, in all channels, and the taps stay within
    /// the flat layout.
    pub(super) unsafe fn write(&self, block: Block, out: Shared<'_>) {
        let tiles = self.grid.len().div_ceil(VECTORS);
        let blocks = self.groups * self.panels.blocks;
        let groups = tiles.div_ceil(TILES);
        // so many that the last one does not keep the others waiting
        let wanted = 8 * rayon::current_num_threads();
        let parts = wanted.div_ceil(groups.max(1)).clamp(1, blocks);
        let all: Vec<(usize, isize)> =
            self.taps.iter().map(|tap| tap.offset).enumerate().collect();
        (0..groups * parts).into_par_iter().for_each(|task| {
            let (part, group) = (task / groups, task % groups);
            let end = (part + 1) * blocks / parts;
            for index in part * blocks / parts..end {
                for tile in group * TILES..tiles.min((group + 1) * TILES) {
                    let first = tile * VECTORS;
                    let some = self.useful(first, block.lanes);
                    let taps = some.as_ref().unwrap_or(&all);
                    // SAFETY: as the caller promises; each tile and block of channels
                    // belongs to one task.
                    unsafe { self.tile(block, first, index, taps, out) };
                }
            }
        });
    }

    /// The taps that meet more than the zeros above or below the images, where a register
    /// block is so small a part of them that this is worth asking.
    fn useful(&self, first: usize, lanes: usize) -> Option<Vec<(usize, isize)>> {
        if !self.pitch.is_interleaved() {
            return None;
        }
        let top = self.grid.start(first) / self.pitch.row;
        let bottom = (self.grid.start(first + VECTORS - 1) + lanes - 1) / self.pitch.row;
        let taps = self.taps.iter().enumerate();
        Some(
            taps.filter(|(_, tap)| tap.meets(top, bottom))
                .map(|(index, tap)| (index, tap.offset))
                .collect(),
        )
    }

    /// One register block: the vectors from `first` on, the rows of panel `index`.
    unsafe fn tile(
        &self,
        block: Block,
        first: usize,
        index: usize,
        taps: &[(usize, isize)],
        out: Shared<'_>,
    ) {
        let group = index / self.panels.blocks;
        let row = index % self.panels.blocks * self.panels.rows;
        let mut sums = [0.0; MAX_ROWS * VECTORS * MAX_LANES];
        // SAFETY: the caller promises that the taps stay inside the layout.
        unsafe {
            kernel::products(
                Products {
                    panel: self.panels.panel(index),
                    values: self.flat.at(group * self.inputs, 0),
                    stride: self.flat.channel,
                    kernel: self.taps.len(),
                    taps,
                    starts: core::array::from_fn(|v| self.grid.start(first + v)),
                },
                &mut sums,
            );
        }
        let rows = self.panels.rows.min(self.outputs - row);
        let step = self.grid.step;
        for r in 0..rows {
            let channel = group * self.outputs + row + r;
            for v in 0..VECTORS {
                let sums = &sums[(r * VECTORS + v) * block.lanes..][..block.lanes];
                for run in self.grid.runs(first + v) {
                    let sums = &sums[run.lane..run.lane + run.len];
                    let at = channel * self.plane + run.to;
                    // SAFETY: the grid names elements of the output, each one once.
                    unsafe { self.epilogue.write(channel, sums, out, at, step) };
                }
            }
        }
    }
}
