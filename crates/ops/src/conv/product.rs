//! Convolutions as products of patches with panels of weights, block by block.

#![expect(unsafe_code, reason = "the results are written once, by several threads")]

use core::ops::Range;

use super::{
    epilogue::Epilogue,
    geometry::Geometry,
    kernel::{Block, PITCH, Product, Rows, multiply},
    lattice::Lattice,
    panels::Weights,
    patch::Patches,
    scratch::Scratch,
};
use crate::{
    shared::{Shared, chunks_mut, filled},
    threads,
};

/// Positions of a block: their patches stay in the second-level cache.
pub(super) const POSITIONS: usize = 96;
/// Values of a patch that are summed at a time: so much of a panel stays in the first level.
const DEPTH: usize = 256;
const _: () = assert!(DEPTH <= PITCH, "room for a part of a patch");
/// Positions up to which the weights are more than the patches; either way sums the same.
const FEW: usize = 192;
/// Rows that are a multiple of this apart push each other out of the first-level cache.
const ALIAS: usize = 1024;

/// `y[n, o] = epilogue(sum_c sum_k w[o, c, k] * x[n, c, · s + k d - p])`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let lattice = &Lattice::forward(geometry);
    let weights = Weights { geometry, lattice, w, scale: None, backward: false };
    let len = lattice.positions() * geometry.groups * geometry.outputs;
    let sum = Sum { values: x, weights, epilogue: epilogue.of_result(len) };
    // SAFETY: the lattice's pixels are all of the result.
    unsafe { filled(len, |out| sum.write(out)) }
}

/// `dx[n, c, · s + k d - p] += scale[o] * w[o, c, k] * dy[n, o]`, and what `epilogue` makes of it.
pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &[f32],
    (w, scale): (&[f32], Option<&[f32]>),
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let (batch, channels, height, width) = geometry.input();
    let len = batch * channels * height * width;
    let epilogue = epilogue.of_result(len);
    let fill = |out: Shared<'_>| {
        for lattice in &Lattice::backward(geometry, geometry.stride()) {
            let weights = Weights { geometry, lattice, w, scale, backward: true };
            let sum = Sum { values: dy, weights, epilogue };
            // SAFETY: the lattices are inside the input.
            unsafe { sum.write(out) };
        }
    };
    // SAFETY: every pixel of the input belongs to one lattice.
    unsafe { filled(len, fill) }
}

struct Sum<'a> {
    values: &'a [f32],
    weights: Weights<'a>,
    epilogue: Epilogue<'a>,
}

impl Sum<'_> {
    /// # Safety
    ///
    /// `out` has room for the pixels of the lattice, of the channels of all groups, and nobody
    /// else touches these.
    unsafe fn write(&self, out: Shared<'_>) {
        for group in 0..self.weights.geometry.groups {
            let groups = self.weights.geometry.groups;
            let read = self.weights.channels().0;
            let channels = (groups * read, read, group);
            let patches = Patches::new(self.weights.lattice, self.values, channels);
            // SAFETY: as the caller promises, of the channels of one group.
            unsafe {
                if self.weights.lattice.positions() <= FEW {
                    self.few(group, &patches, out);
                } else {
                    self.many(group, &patches, out);
                }
            }
        }
    }

    /// All positions at once: each panel of weights is used as soon as it is packed.
    unsafe fn few(&self, group: usize, patches: &Patches<'_>, out: Shared<'_>) {
        let positions = self.weights.lattice.positions();
        let places = self.places(0..positions);
        let depth = self.weights.depth();
        // not a power of two
        let pitch = depth.next_multiple_of(16) + 16;
        let rows = positions.next_multiple_of(Block::of_this_machine().rows);
        let mut gathered = Scratch::new(rows * pitch);
        chunks_mut(&mut gathered[..positions * pitch], pitch, |i, row| {
            patches.gather(i..i + 1, 0..depth, row, pitch);
        });
        let width = Block::of_this_machine().columns;
        threads::each(self.weights.panels(), |panel| {
            let mut packed = Scratch::new(depth * width);
            self.weights.write(group, panel, &mut packed);
            for part in parts(depth) {
                let rows = (gathered[part.start..].as_ptr(), Rows::Apart(pitch));
                let weights = packed[part.start * width..].as_ptr();
                // SAFETY: there are rows for whole blocks, and room as the caller promises.
                unsafe { self.multiply((group, panel), rows, weights, part, &places, out) };
            }
        });
    }

    /// Block by block of the positions, with weights that were packed before.
    unsafe fn many(&self, group: usize, patches: &Patches<'_>, out: Shared<'_>) {
        let block = Block::of_this_machine();
        let positions = self.weights.lattice.positions();
        let depth = self.weights.depth();
        let panels = self.weights.panels();
        let packed = self.weights.packed(group);
        threads::each(positions.div_ceil(POSITIONS), |i| {
            let positions = i * POSITIONS..((i + 1) * POSITIONS).min(positions);
            let places = self.places(positions.clone());
            // behind the last position there may be nothing
            let whole = positions.len().is_multiple_of(block.rows);
            let is_fast = !depth.is_multiple_of(ALIAS);
            let in_place = patches.in_place().filter(|_| whole && is_fast);
            let mut gathered = Scratch::new(POSITIONS * PITCH);
            for part in parts(depth) {
                let rows = if let Some(values) = in_place {
                    let values = &values[positions.start * depth + part.start..];
                    (values.as_ptr(), Rows::Apart(depth))
                } else {
                    patches.gather(positions.clone(), part.clone(), &mut gathered, PITCH);
                    (gathered.as_ptr(), Rows::Gathered)
                };
                for panel in 0..panels {
                    let first = (panel * depth + part.start) * block.columns;
                    let (part, weights) = (part.clone(), packed[first..].as_ptr());
                    // SAFETY: there are rows for whole blocks, and room as the caller promises.
                    unsafe {
                        self.multiply((group, panel), rows, weights, part, &places, out);
                    }
                }
            }
        });
    }

    /// Where the results of some positions begin.
    fn places(&self, positions: Range<usize>) -> Vec<usize> {
        let lattice = self.weights.lattice;
        let channels = self.weights.geometry.groups * self.weights.channels().1;
        let mut position = lattice.position(positions.start);
        positions
            .map(|_| {
                let place = lattice.to.of(position) * channels;
                position = lattice.next(position);
                place
            })
            .collect()
    }

    /// The products of a part of some patches with that of a panel.
    ///
    /// # Safety
    ///
    /// As [`multiply`].
    unsafe fn multiply(
        &self,
        (group, panel): (usize, usize),
        (rows, lie): (*const f32, Rows),
        weights: *const f32,
        part: Range<usize>,
        places: &[usize],
        out: Shared<'_>,
    ) {
        let width = Block::of_this_machine().columns;
        let written = self.weights.channels().1;
        let column = panel * width;
        let first = group * written + column;
        let is_last = part.end == self.weights.depth();
        let epilogue = (is_last && !self.epilogue.is_nothing()).then_some(self.epilogue);
        // SAFETY: as the caller promises.
        unsafe {
            multiply(Product {
                rows,
                lie,
                panel: weights,
                panel_pitch: width,
                depth: part.len(),
                out: out.pointer(first),
                places,
                columns: (written - column).min(width),
                adds: part.start > 0,
                epilogue: epilogue.map(|epilogue| (epilogue, first, first)),
            });
        }
    }
}

/// Parts of a patch, all of about one size. Where no tap is, one of none writes the zeros.
pub(super) fn parts(depth: usize) -> impl Iterator<Item = Range<usize>> {
    let count = depth.div_ceil(DEPTH).max(1);
    let size = depth.div_ceil(count);
    (0..count).map(move |i| i * size..((i + 1) * size).min(depth))
}
