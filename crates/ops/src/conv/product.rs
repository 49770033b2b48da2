//! Convolutions as products of patches with panels of weights, block by block.

#![expect(unsafe_code, reason = "the results are written once, by several threads")]

use rayon::prelude::*;

use super::{
    epilogue::Epilogue,
    geometry::Geometry,
    kernel::{Block, PITCH, Product, Rows, multiply},
    lattice::Lattice,
    panels::Panels,
    patch::Patches,
    shared::{Shared, filled},
};

/// Positions of a block: their patches stay in the second-level cache.
const POSITIONS: usize = 96;
/// Values of a patch that are summed at a time: so much of a panel stays in the first level.
const DEPTH: usize = 256;
const _: () = assert!(DEPTH <= PITCH, "room for a part of a patch");
/// Pieces of work that are enough for many threads; their number changes no result.
const PIECES: usize = 16;
/// Rows that are a multiple of this apart push each other out of the first-level cache.
const ALIAS: usize = 1024;

/// `y[n, o] = epilogue(sum_c sum_k w[o, c, k] * x[n, c, · s + k d - p])`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let lattice = Lattice::forward(geometry);
    let panels = Panels::forward(geometry, &lattice, w);
    let &Geometry { inputs, outputs, .. } = geometry;
    let sum = Sum {
        lattice: &lattice,
        values: x,
        channels: (inputs, outputs),
        groups: geometry.groups,
        panels: &panels,
        epilogue,
    };
    // SAFETY: the lattice's pixels are all of the result.
    unsafe { filled(lattice.positions() * geometry.groups * outputs, |out| sum.write(out)) }
}

/// `dx[n, c, · s + k d - p] += w[o, c, k] * dy[n, o]`.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let &Geometry { inputs, outputs, groups, batch, .. } = geometry;
    let len = batch * geometry.y.input * geometry.x.input * groups * inputs;
    let fill = |out: Shared<'_>| {
        for lattice in Lattice::backward(geometry) {
            let panels = Panels::backward(geometry, &lattice, w);
            let sum = Sum {
                lattice: &lattice,
                values: dy,
                channels: (outputs, inputs),
                groups,
                panels: &panels,
                epilogue: Epilogue::NONE,
            };
            // SAFETY: the lattices are inside the input.
            unsafe { sum.write(out) };
        }
    };
    // SAFETY: every pixel of the input belongs to one lattice.
    unsafe { filled(len, fill) }
}

struct Sum<'a> {
    lattice: &'a Lattice,
    values: &'a [f32],
    /// Channels of a group that are read, and that are written.
    channels: (usize, usize),
    groups: usize,
    panels: &'a Panels,
    epilogue: Epilogue<'a>,
}

impl Sum<'_> {
    /// # Safety
    ///
    /// `out` has room for the pixels of the lattice, of the channels of all groups, and nobody
    /// else touches these.
    unsafe fn write(&self, out: Shared<'_>) {
        let positions = self.lattice.positions();
        let blocks = positions.div_ceil(POSITIONS);
        let pieces = PIECES.div_ceil(blocks * self.groups).min(self.panels.count);
        let panels = self.panels.count.div_ceil(pieces);
        (0..self.groups * pieces * blocks).into_par_iter().for_each_init(
            || vec![0.0; POSITIONS * PITCH],
            |gathered, task| {
                let (block, piece) = (task % blocks, task / blocks % pieces);
                let group = task / (blocks * pieces);
                let first = block * POSITIONS;
                let count = (positions - first).min(POSITIONS);
                let panels = piece * panels..((piece + 1) * panels).min(self.panels.count);
                // SAFETY: each task has its own positions and panels of a group.
                unsafe { self.block(out, group, first..first + count, panels, gathered) };
            },
        );
    }

    unsafe fn block(
        &self,
        out: Shared<'_>,
        group: usize,
        positions: core::ops::Range<usize>,
        panels: core::ops::Range<usize>,
        gathered: &mut [f32],
    ) {
        let (read, written) = self.channels;
        let all = self.groups * written;
        let patches =
            Patches::new(self.lattice, self.values, (self.groups * read, read, group));
        let mut position = self.lattice.position(positions.start);
        let mut places = [0; POSITIONS];
        for place in &mut places[..positions.len()] {
            *place = self.lattice.to.of(position) * all;
            position = self.lattice.next(position);
        }
        let places = &places[..positions.len()];
        let depth = patches.depth();
        let in_place = patches.in_place().filter(|_| {
            !depth.is_multiple_of(ALIAS)
                && positions.len().is_multiple_of(Block::of_this_machine().rows)
        });
        // all parts are of about one size; one of none writes the zeros of results without taps
        let part = depth.div_ceil(depth.div_ceil(DEPTH).max(1));
        let mut start = 0;
        loop {
            let end = (start + part).min(depth);
            let (rows, lie) = if let Some(values) = in_place {
                (&values[positions.start * depth + start..], Rows::Apart(depth))
            } else {
                patches.gather(positions.clone(), start..end, gathered, PITCH);
                (&*gathered, Rows::Gathered)
            };
            for panel in panels.clone() {
                let column = panel * self.panels.width;
                let first = group * written + column;
                // SAFETY: the rows are those of the positions and, as far as they are gathered,
                // whatever is behind them; the caller promises the room.
                unsafe {
                    multiply(Product {
                        rows: rows.as_ptr(),
                        lie,
                        panel: self.panels.rows(group, panel, start).as_ptr(),
                        panel_pitch: self.panels.width,
                        depth: end - start,
                        out: out.pointer(first),
                        places,
                        columns: (written - column).min(self.panels.width),
                        adds: start > 0,
                        epilogue: (end == depth).then_some((self.epilogue, first, first)),
                    });
                }
            }
            if end == depth {
                return;
            }
            start = end;
        }
    }
}
