//! The gradient of the weights of 3 x 3 convolutions of stride 1, by the same tiles.
//!
//! As the results are linear in the weights, their gradient is the transposed computation:
//!
//! ```text
//! dw = G^T [ sum over tiles of (A dy A^T) ∘ (B^T x B) ] G
//! ```

#![expect(unsafe_code, reason = "matrix products through pointers")]

use core::ops::Range;

use super::{
    geometry::Geometry,
    kernel::{Block, Product, Rows, multiply},
    lattice::Lattice,
    scratch::Scratch,
    vectors::LANES,
    weight::pack,
    winograd::{self, Tiles, pitch},
    winograd_kernel::{FREQUENCIES, Spread, transform_gradients, transform_inputs},
    winograd_transform::{ELEMENTS, transform_weights_back},
};
use crate::{
    map,
    shared::{Shared, chunks_mut},
    threads,
    turn::Matrix,
};

/// Channels on either side from which on the transforms pay.
const CHANNELS: usize = 128;
/// Transformed values that are kept at a time: they stay in the cache.
const KEPT: usize = 1 << 20;
/// Tiles that are summed at a time.
const TILES: usize = 128;
/// Tiles that a task transforms.
const TOGETHER: usize = 16;

/// Whether this file's way is the one for `geometry`.
pub(super) fn is_worthwhile(geometry: &Geometry) -> bool {
    winograd::is_worthwhile(geometry) && geometry.inputs.min(geometry.outputs) >= CHANNELS
}

/// `dw[o, c, k] = sum over images and positions of dy[o] * x[c]`, the latter under tap `k`.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let lattice = Lattice::forward(geometry);
    let tiles = Tiles::new(&lattice);
    let &Geometry { inputs, outputs, .. } = geometry;
    let pitches = (pitch(inputs), pitch(outputs));
    // by the sizes alone, and so is the order of the sums
    let most = KEPT / (FREQUENCIES * (pitches.0 + pitches.1)) / TILES * TILES;
    let most = most.max(TILES).min(tiles.count());
    let mut sums = Scratch::new(FREQUENCIES * outputs * inputs);
    for start in (0..tiles.count()).step_by(most) {
        let some = start..(start + most).min(tiles.count());
        let transformed = Transformed::new(&tiles, some, geometry, x, dy);
        chunks_mut(&mut sums, outputs * inputs, |f, sums| {
            transformed.add(f, (outputs, inputs), start > 0, sums);
        });
    }
    let places: Vec<usize> = (0..inputs).map(|input| input * ELEMENTS).collect();
    map::pieces(outputs * inputs * ELEMENTS, inputs * ELEMENTS, |output, dw| {
        let width = inputs.next_multiple_of(LANES);
        let mut rows = Scratch::new(ELEMENTS * width);
        let from = &sums[output * inputs..];
        transform_weights_back(from, outputs * inputs, inputs, &mut rows, width);
        Matrix { values: &rows, pitch: width }.turn(ELEMENTS, &places, dw);
    })
}

/// Some tiles of both operands, `[frequency][tile][channel]`.
struct Transformed {
    x: Scratch,
    dy: Scratch,
    /// Values from a tile to the next.
    pitches: (usize, usize),
    count: usize,
}

impl Transformed {
    fn new(
        tiles: &Tiles<'_>,
        some: Range<usize>,
        geometry: &Geometry,
        x: &[f32],
        dy: &[f32],
    ) -> Self {
        let &Geometry { inputs, outputs, .. } = geometry;
        let (count, pitches) = (some.len(), (pitch(inputs), pitch(outputs)));
        let mut transformed = Self {
            x: Scratch::new(FREQUENCIES * count * pitches.0),
            dy: Scratch::new(FREQUENCIES * count * pitches.1),
            pitches,
            count,
        };
        let (to_x, to_dy) = (
            Shared::new(transformed.x.as_mut_ptr()),
            Shared::new(transformed.dy.as_mut_ptr()),
        );
        threads::each(count.div_ceil(TOGETHER), |task| {
            let first = task * TOGETHER;
            let last = (first + TOGETHER).min(count);
            let tiles =
                (some.start + first..some.start + last).map(|tile| tiles.pixels(tile));
            let (read, written): (Vec<_>, Vec<_>) = tiles.unzip();
            // SAFETY: each tile has its own rows, of a pitch each.
            unsafe {
                transform_inputs(&Spread {
                    values: x,
                    channels: inputs,
                    tiles: &read,
                    out: to_x.pointer(first * pitches.0),
                    pitches: (pitches.0, count * pitches.0),
                });
                transform_gradients(&Spread {
                    values: dy,
                    channels: outputs,
                    tiles: &written,
                    out: to_dy.pointer(first * pitches.1),
                    pitches: (pitches.1, count * pitches.1),
                });
            }
        });
        transformed
    }

    /// Adds the products of one frequency to `sums`, `[output][input]`, or writes them.
    fn add(
        &self,
        f: usize,
        (outputs, inputs): (usize, usize),
        adds: bool,
        sums: &mut [f32],
    ) {
        let block = Block::of_this_machine();
        let places: Vec<usize> = (0..outputs).map(|output| output * inputs).collect();
        let mut packed = Scratch::new(outputs.next_multiple_of(block.rows) * TILES);
        for start in (0..self.count).step_by(TILES) {
            let count = (self.count - start).min(TILES);
            let first = f * self.count + start;
            let dy = &self.dy[first * self.pitches.1..];
            pack(dy, (self.pitches.1, outputs, count), block.rows, &mut packed);
            for column in (0..inputs).step_by(block.columns) {
                let x = &self.x[first * self.pitches.0 + column..];
                // SAFETY: all outputs' blocks have been packed; a row of `x` has a pitch, which
                // is as wide as whole panels; `sums` has all outputs and inputs.
                unsafe {
                    multiply(Product {
                        rows: packed.as_ptr(),
                        lie: Rows::Turned,
                        panel: x.as_ptr(),
                        panel_pitch: self.pitches.0,
                        depth: count,
                        out: sums.as_mut_ptr().add(column),
                        places: &places,
                        columns: (inputs - column).min(block.columns),
                        adds: adds || start > 0,
                        epilogue: None,
                    });
                }
            }
        }
    }
}
