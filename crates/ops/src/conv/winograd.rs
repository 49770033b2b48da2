//! 3 x 3 convolutions of stride 1 by Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, 2016).
//!
//! Each 2 x 2 results take 16 products a channel instead of 36:
//!
//! ```text
//! y = A^T [ sum_c (G w G^T) ∘ (B^T x B) ] A
//! ```
//!
//! The transforms add, subtract and halve, so that little is lost: the larger tiles, which
//! save more, lose digits. A tile reads what a tap of a 4 x 4 kernel of stride 2 reads, hence
//! [`Flat`] lays the input out for it (where an input is infinite, sums of its tile may be NaN). Each result is one chain of operations: it depends
//! neither on the batch nor on the threads.

#![expect(unsafe_code, reason = "tasks write disjoint results of one output")]

use rayon::prelude::*;

use super::{
    epilogue::Epilogue,
    flat::{Flat, Source},
    geometry::Geometry,
    grid::{Grid, Run, Target},
    kernel::{self, Block, MAX_LANES, MAX_ROWS, Products, VECTORS},
    shared::{Shared, filled},
    winograd_kernel::{FREQUENCIES, transform_input, transform_output, transform_weights},
};

/// Channels on either side, and pixels of a result, from which on the transforms pay.
const CHANNELS: usize = 64;
const PIXELS: usize = 100;
/// Positions of a vector block on the widest machine.
const WIDTH: usize = VECTORS * MAX_LANES;

/// Whether this file's way is the one for `geometry`.
pub(super) fn is_worthwhile(geometry: &Geometry) -> bool {
    let axis = |axis: super::geometry::Axis| {
        axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.padding <= 2
    };
    let pixels = geometry.output_plane().min(geometry.input_plane());
    axis(geometry.y)
        && axis(geometry.x)
        && geometry.groups == 1
        && geometry.inputs.min(geometry.outputs) >= CHANNELS
        && pixels >= PIXELS
}

/// `y[n, o] = epilogue(sum_c sum_k w[o, c, k] * x[n, c, · + k - p])`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let inputs = geometry.inputs;
    let kernel = |o: usize, c: usize| {
        let w = &w[(o * inputs + c) * 9..][..9];
        core::array::from_fn(|k| w[k])
    };
    convolve(&geometry.tiles(), geometry.result(), x, kernel, epilogue)
}

/// `dx[n, c] = sum_o sum_k w[o, c, k] * dy[n, o, · - k + p]`: a convolution with the kernel
/// turned round.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let inputs = geometry.inputs;
    let kernel = |c: usize, o: usize| {
        let w = &w[(o * inputs + c) * 9..][..9];
        core::array::from_fn(|k| w[8 - k])
    };
    convolve(&geometry.reversed_tiles(), geometry.input(), dy, kernel, Epilogue::NONE)
}

/// The convolution of `x` with `kernel(output, input)` into tensors of shape `result`.
fn convolve(
    tiles: &Geometry,
    result: (usize, usize, usize, usize),
    x: &[f32],
    kernel: impl Fn(usize, usize) -> [f32; 9] + Sync,
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let block = Block::of_this_machine();
    let flat = Flat::new(
        x,
        &Source {
            batch: tiles.batch,
            channels: tiles.inputs,
            size: (tiles.y.input, tiles.x.input),
            stride: (2, 2),
            phases: &tiles.phases,
            pitch: tiles.pitch,
            reach: tiles.reach(),
        },
    );
    let (batch, channels, height, width) = result;
    let target = Target {
        batch,
        channels,
        size: (height, width),
        stride: (2, 2),
        phase: (0, 0),
        pitch: tiles.pitch,
    };
    let sum = Sum {
        tiles,
        flat: &flat,
        grid: Grid::new(&target, block.lanes),
        weights: weights(tiles.inputs, channels, block.rows, kernel),
        channels,
        size: (height, width),
        epilogue,
    };
    // SAFETY: the tiles cover the whole result.
    unsafe { filled(batch * channels * height * width, |out| sum.write(block, out)) }
}

/// `G w G^T` in the order the products read them: `[block][frequency][input][row]`.
fn weights(
    inputs: usize,
    outputs: usize,
    rows: usize,
    kernel: impl Fn(usize, usize) -> [f32; 9] + Sync,
) -> Vec<f32> {
    let panel = inputs * rows;
    let mut weights = vec![0.0; outputs.div_ceil(rows) * FREQUENCIES * panel];
    let blocks = weights.par_chunks_mut(FREQUENCIES * panel).enumerate();
    blocks.for_each(|(block, weights)| {
        for row in 0..rows.min(outputs - block * rows) {
            for input in 0..inputs {
                let transformed = transform_weights(kernel(block * rows + row, input));
                for (f, value) in transformed.into_iter().enumerate() {
                    weights[f * panel + input * rows + row] = value;
                }
            }
        }
    });
    weights
}

struct Sum<'a> {
    tiles: &'a Geometry,
    flat: &'a Flat,
    grid: Grid,
    weights: Vec<f32>,
    /// Of the result.
    channels: usize,
    /// Height and width of the result.
    size: (usize, usize),
    epilogue: Epilogue<'a>,
}

/// Memory of a task.
#[derive(Default)]
struct Scratch {
    /// Transformed inputs, `[frequency][input][position]`.
    inputs: Vec<f32>,
    /// Their products with the weights, `[frequency][row][position]`.
    products: Vec<f32>,
}

impl Sum<'_> {
    /// # Safety
    ///
    /// `out` has the elements of the result.
    unsafe fn write(&self, block: Block, out: Shared<'_>) {
        let groups = self.grid.len().div_ceil(VECTORS);
        let blocks = self.channels.div_ceil(block.rows);
        // so many that the last one does not keep the others waiting
        let wanted = 8 * rayon::current_num_threads();
        let parts = wanted.div_ceil(groups.max(1)).min(blocks.div_ceil(8)).max(1);
        (0..groups * parts).into_par_iter().for_each_init(
            Scratch::default,
            |scratch, task| {
                let (part, first) = (task % parts, task / parts * VECTORS);
                let starts = core::array::from_fn(|v| self.grid.start(first + v));
                scratch.inputs.resize(FREQUENCIES * self.tiles.inputs * WIDTH, 0.0);
                // SAFETY: the layout has room for the taps around every position.
                unsafe {
                    transform_input(self.tiles, self.flat, starts, &mut scratch.inputs);
                };
                for index in part * blocks / parts..(part + 1) * blocks / parts {
                    self.multiply(block, index, scratch);
                    // SAFETY: each group of vectors and block of channels has one task.
                    unsafe {
                        self.store(block, (first, index), &mut scratch.products, out);
                    };
                }
            },
        );
    }

    /// The products of the rows of block `index`, in every frequency.
    fn multiply(&self, block: Block, index: usize, scratch: &mut Scratch) {
        let inputs = self.tiles.inputs;
        let panel = inputs * block.rows;
        let width = VECTORS * block.lanes;
        scratch.products.resize(FREQUENCIES * MAX_ROWS * WIDTH, 0.0);
        let products = scratch.products.as_chunks_mut::<{ MAX_ROWS * WIDTH }>().0;
        for (f, products) in products.iter_mut().enumerate() {
            let values = &scratch.inputs[f * inputs * width..][..inputs * width];
            let at = (index * FREQUENCIES + f) * panel;
            // SAFETY: `values` has a row of `width` elements for each channel of the panel.
            unsafe {
                kernel::products(
                    Products {
                        panel: &self.weights[at..at + panel],
                        values: values.as_ptr(),
                        stride: width,
                        kernel: 1,
                        taps: &[(0, 0)],
                        starts: core::array::from_fn(|v| v * block.lanes),
                    },
                    products,
                );
            }
        }
    }

    /// Writes the results of the vectors from `first` on, of block `index` of the channels.
    ///
    /// # Safety
    ///
    /// `out` has the elements of the result, and nobody else writes these.
    unsafe fn store(
        &self,
        block: Block,
        (first, index): (usize, usize),
        products: &mut [f32],
        out: Shared<'_>,
    ) {
        let width = VECTORS * block.lanes;
        let (height, columns) = self.size;
        let plane = height * columns;
        let row = index * block.rows;
        transform_output(products, block.rows * width);
        for r in 0..block.rows.min(self.channels - row) {
            for v in 0..VECTORS {
                for run in self.grid.runs(first + v) {
                    for corner in 0..4 {
                        let len = self.inside(run, (corner / 2, corner % 2));
                        let lane = (r * VECTORS + v) * block.lanes + run.lane;
                        let sums = &products[corner * MAX_ROWS * WIDTH + lane..][..len];
                        let pixel = run.to + corner / 2 * columns + corner % 2;
                        let at = (row + r) * plane + pixel;
                        // SAFETY: `inside` has cut the run at the edges of the result; each
                        // of its elements has one tile.
                        unsafe {
                            self.epilogue.write(row + r, sums, out, at, self.grid.step);
                        }
                    }
                }
            }
        }
    }

    /// How many tiles of a run have this corner of theirs inside the result.
    fn inside(&self, run: &Run, (down, right): (usize, usize)) -> usize {
        let (height, width) = self.size;
        let pixel = run.to % (height * width);
        let (y, x) = (pixel / width, pixel % width);
        if y + down >= height || x + right >= width {
            return 0;
        }
        if self.tiles.pitch.is_interleaved() {
            // a run is one tile of several images
            return run.len;
        }
        run.len.min((width - right - x).div_ceil(2))
    }
}
