//! 3 x 3 convolutions of stride 1 by Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, 2016).
//!
//! Each 2 x 2 results take 16 products a channel instead of 36:
//!
//! ```text
//! y = A^T [ sum_c (G w G^T) ∘ (B^T x B) ] A
//! ```
//!
//! The transforms add, subtract and halve, so that little is lost: the larger tiles, which
//! save more, lose digits. Where an input is infinite, sums of its tile may be NaN. Each result
//! is one chain of operations: it depends neither on the batch nor on the threads.

#![expect(unsafe_code, reason = "tasks write disjoint results of one output")]

use core::ops::Range;

use super::{
    epilogue::Epilogue,
    geometry::{Axis, Geometry},
    kernel::{Block, Product, Rows, multiply},
    lattice::{Lattice, Position, Tap},
    panels::Weights,
    scratch::Scratch,
    vectors::LANES,
    winograd_kernel::{FREQUENCIES, Gather, Spread, transform_inputs, transform_outputs},
    winograd_transform::{ELEMENTS, transform_weights},
};
use crate::{
    shared::{Shared, chunks_mut, filled},
    threads,
};

/// Channels on either side, and pixels of a result, from which on the transforms pay.
const CHANNELS: usize = 64;
const PIXELS: usize = 25;
/// Tiles of a task.
const TILES: usize = 48;

/// Whether this file's way is the one for `geometry`.
pub(super) fn is_worthwhile(geometry: &Geometry) -> bool {
    let axis = |axis: Axis| {
        axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.padding <= 2
    };
    let pixels = |(_, _, height, width): (usize, usize, usize, usize)| height * width;
    axis(geometry.y)
        && axis(geometry.x)
        && geometry.groups == 1
        && geometry.inputs.min(geometry.outputs) >= CHANNELS
        && pixels(geometry.result()).min(pixels(geometry.input())) >= PIXELS
}

/// `y[n, o] = epilogue(sum_c sum_k w[o, c, k] * x[n, c, · + k - p])`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let lattice = &Lattice::forward(geometry);
    convolve(x, Weights { geometry, lattice, w, scale: None, backward: false }, epilogue)
}

/// `dx[n, c] = sum_o sum_k scale[o] * w[o, c, k] * dy[n, o, · - k + p]`, and what `epilogue`
/// makes of it: a convolution with the kernel turned round.
pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &[f32],
    (w, scale): (&[f32], Option<&[f32]>),
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let lattices = Lattice::backward(geometry, (1, 1));
    let lattice = lattices.first().expect("a stride of 1 makes one lattice");
    convolve(dy, Weights { geometry, lattice, w, scale, backward: true }, epilogue)
}

fn convolve(x: &[f32], weights: Weights<'_>, epilogue: Epilogue<'_>) -> Vec<f32> {
    let tiles = Tiles::new(weights.lattice);
    let (inputs, outputs) = weights.channels();
    let len = weights.lattice.positions() * outputs;
    let count = tiles.count();
    let tasks = count.div_ceil(TILES).next_multiple_of(rayon::current_num_threads());
    let size = count.div_ceil(tasks).next_multiple_of(Block::of_this_machine().rows);
    let (weights, epilogue) = (transformed(weights), epilogue.of_result(len));
    let sum = Sum { tiles, x, weights, inputs, outputs, epilogue };
    let fill = |out: Shared<'_>| {
        threads::each(count.div_ceil(size), |task| {
            let tiles = task * size..((task + 1) * size).min(count);
            // SAFETY: each tile has its own pixels of the result.
            unsafe { sum.write(tiles, out) };
        });
    };
    // SAFETY: the tiles cover the result.
    unsafe { filled(len, fill) }
}

/// `G w G^T` of all panels: `[panel][frequency][input][column]`.
fn transformed(weights: Weights<'_>) -> Scratch {
    let size = weights.channels().0 * Block::of_this_machine().columns;
    let mut out = Scratch::new(weights.panels() * FREQUENCIES * size);
    chunks_mut(&mut out, FREQUENCIES * size, |panel, out| {
        let mut packed = Scratch::new(ELEMENTS * size);
        weights.write(0, panel, &mut packed);
        transform_weights(&packed, out, size);
    });
    out
}

/// Where the tiles of 2 x 2 results are, and the 4 x 4 pixels that each reads.
pub(super) struct Tiles<'a> {
    lattice: &'a Lattice,
    /// Rows and columns of tiles in an image.
    grid: (usize, usize),
    /// The first pixel that a tile reads, relative to its first result.
    first: (isize, isize),
}

impl<'a> Tiles<'a> {
    pub(super) fn new(lattice: &'a Lattice) -> Self {
        let (rows, columns) = lattice.grid;
        let first = lattice.taps.first().map_or((0, 0), |tap| (tap.row, tap.column));
        Self { lattice, grid: (rows.div_ceil(2), columns.div_ceil(2)), first }
    }

    pub(super) fn count(&self) -> usize {
        self.lattice.batch * self.grid.0 * self.grid.1
    }

    /// The numbers of the pixels that tile `tile` reads, and of those it writes.
    pub(super) fn pixels(
        &self,
        tile: usize,
    ) -> ([Option<usize>; FREQUENCIES], [Option<usize>; 4]) {
        let (rows, columns) = self.grid;
        let (image, row, column) =
            (tile / (rows * columns), 2 * (tile / columns % rows), 2 * (tile % columns));
        let start = Position { image, row, column };
        let read = core::array::from_fn(|i| {
            let row = self.first.0 + (i / 4) as isize;
            let column = self.first.1 + (i % 4) as isize;
            self.lattice.read(start, &Tap { row, column, element: 0 })
        });
        let written = core::array::from_fn(|i| {
            let (row, column) = (row + i / 2, column + i % 2);
            let position = Position { image, row, column };
            let inside = row < self.lattice.grid.0 && column < self.lattice.grid.1;
            inside.then(|| self.lattice.to.of(position))
        });
        (read, written)
    }
}

/// Values from a transformed tile to the next: rows 4 KiB apart would share few cache lines.
pub(super) fn pitch(inputs: usize) -> usize {
    inputs.next_multiple_of(LANES) + LANES
}

struct Sum<'a> {
    tiles: Tiles<'a>,
    x: &'a [f32],
    weights: Scratch,
    inputs: usize,
    outputs: usize,
    epilogue: Epilogue<'a>,
}

impl Sum<'_> {
    /// # Safety
    ///
    /// `out` has room for the result, and nobody else touches what these tiles write.
    unsafe fn write(&self, tiles: Range<usize>, out: Shared<'_>) {
        let &Self { inputs, outputs, .. } = self;
        let (pitch, width) = (pitch(inputs), Block::of_this_machine().columns);
        let all = tiles.len().next_multiple_of(Block::of_this_machine().rows);
        // transformed, `[frequency][tile][channel]`, and their products with the weights of a
        // panel, `[frequency][tile][column]`
        let mut transformed = Scratch::new(FREQUENCIES * all * pitch);
        let mut products = Scratch::new(FREQUENCIES * all * width);
        let rows: Vec<usize> = (0..tiles.len()).map(|tile| tile * width).collect();
        let (read, written): (Vec<_>, Vec<_>) =
            tiles.map(|tile| self.tiles.pixels(tile)).unzip();
        // SAFETY: a row of a pitch for each tile and frequency.
        unsafe {
            transform_inputs(&Spread {
                values: self.x,
                channels: inputs,
                tiles: &read,
                out: transformed.as_mut_ptr(),
                pitches: (pitch, all * pitch),
            });
        }
        for panel in 0..outputs.div_ceil(width) {
            let channel = panel * width;
            for f in 0..FREQUENCIES {
                let at = (panel * FREQUENCIES + f) * inputs * width;
                // SAFETY: there are rows for whole blocks of tiles, a row of the panel for
                // each input, and room for the products of each tile.
                unsafe {
                    multiply(Product {
                        rows: transformed.as_ptr().add(f * all * pitch),
                        lie: Rows::Apart(pitch),
                        panel: self.weights[at..].as_ptr(),
                        panel_pitch: width,
                        depth: inputs,
                        out: products.as_mut_ptr().add(f * all * width),
                        places: &rows,
                        columns: width,
                        adds: false,
                        epilogue: None,
                    });
                }
            }
            // SAFETY: the tiles are inside the result, and no two share a pixel.
            unsafe {
                transform_outputs(&Gather {
                    sums: &products,
                    pitches: (width, all * width),
                    channel,
                    columns: (outputs - channel).min(width),
                    channels: outputs,
                    tiles: &written,
                    out: out.pointer(0),
                    epilogue: self.epilogue,
                });
            }
        }
    }
}
