//! 1 x 1 convolutions: a matrix product at every pixel, of any stride.
//!
//! A few vectors of pixels, of one image or of several, are copied side by side and
//! multiplied with all weights while they are in the cache. Each result is one chain of
//! products, channel by channel: it depends neither on the batch nor on the threads.

#![expect(unsafe_code, reason = "tasks write disjoint results of one output")]

use core::ops::Range;

use rayon::prelude::*;

use crate::simd::{Loop, vectorized};

use super::{
    epilogue::Epilogue,
    geometry::Geometry,
    kernel::{self, Block, MAX_LANES, MAX_ROWS, Products, VECTORS},
    products::{Panels, Weights},
    shared::{Shared, filled},
};

/// `y[n] = epilogue(w x[n])`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let block = Block::of_this_machine();
    let panels = Panels::new(&weights(geometry, w, false), block.rows);
    let product = Product {
        pixels: Pixels::of(geometry),
        from: Side::input(geometry),
        to: Side::output(geometry),
        panels: &panels,
        epilogue,
    };
    // SAFETY: every pixel of the result belongs to a tile.
    unsafe { filled(product.to.len(geometry.batch), |y| product.write(block, x, y)) }
}

/// `dx[n] = w^T dy[n]`, zero at the pixels that a stride leaves out.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let block = Block::of_this_machine();
    let panels = Panels::new(&weights(geometry, w, true), block.rows);
    let product = Product {
        pixels: Pixels::of(geometry),
        from: Side::output(geometry),
        to: Side::input(geometry),
        panels: &panels,
        epilogue: Epilogue::NONE,
    };
    let len = product.to.len(geometry.batch);
    if product.to.step == 1 {
        // SAFETY: every pixel belongs to a tile.
        return unsafe { filled(len, |dx| product.write(block, dy, dx)) };
    }
    let mut dx = vec![0.0; len];
    // SAFETY: `dx` has the input's elements.
    unsafe { product.write(block, dy, Shared::new(dx.as_mut_ptr())) };
    dx
}

/// The weights as a matrix, or the transpose of it.
fn weights<'a>(geometry: &Geometry, w: &'a [f32], transposed: bool) -> Weights<'a> {
    let (outputs, inputs) = (geometry.outputs, geometry.inputs);
    let (rows, channels, strides) = if transposed {
        (inputs, outputs, (1, inputs))
    } else {
        (outputs, inputs, (inputs, 1))
    };
    Weights { values: w, groups: 1, rows, channels, strides, taps: &[0] }
}

/// The pixels that are computed: of each image some rows, one after another.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub(super) batch: usize,
    pub(super) rows: usize,
    pub(super) width: usize,
}

impl Pixels {
    /// Those of the result; one long row an image where rows follow each other without gap.
    pub(super) fn of(geometry: &Geometry) -> Self {
        let batch = geometry.batch;
        if (geometry.y.stride, geometry.x.stride) == (1, 1) {
            return Self { batch, rows: 1, width: geometry.output_plane() };
        }
        Self { batch, rows: geometry.y.output, width: geometry.x.output }
    }

    pub(super) fn count(&self) -> usize {
        self.batch * self.rows * self.width
    }

    /// The stretches of a part of them: image, row, column and number of pixels.
    fn stretches(
        self,
        part: Range<usize>,
    ) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let Range { start: mut next, end } = part;
        core::iter::from_fn(move || {
            let (line, column) = (next / self.width, next % self.width);
            let len = (self.width - column).min(end.checked_sub(next)?);
            next += len;
            (len > 0).then_some((line / self.rows, line % self.rows, column, len))
        })
    }
}

/// Where the pixels of a tensor are.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) channels: usize,
    /// Elements of a channel.
    pub(super) plane: usize,
    /// Elements from a row of pixels to the next.
    row: usize,
    /// Elements from a pixel to the next.
    step: usize,
}

impl Side {
    pub(super) fn input(geometry: &Geometry) -> Self {
        Self {
            channels: geometry.inputs,
            plane: geometry.input_plane(),
            row: geometry.y.stride * geometry.x.input,
            step: geometry.x.stride,
        }
    }

    pub(super) fn output(geometry: &Geometry) -> Self {
        Self {
            channels: geometry.outputs,
            plane: geometry.output_plane(),
            row: geometry.x.output,
            step: 1,
        }
    }

    fn len(&self, batch: usize) -> usize {
        batch * self.channels * self.plane
    }

    /// Index of a pixel in channel 0.
    fn at(&self, (image, row, column): (usize, usize, usize)) -> usize {
        image * self.channels * self.plane + row * self.row + column * self.step
    }
}

/// Copies the pixels `part` of some channels side by side, into rows of `pitch`.
pub(super) struct Gather<'a> {
    pub(super) side: Side,
    pub(super) pixels: Pixels,
    pub(super) part: Range<usize>,
    pub(super) channels: Range<usize>,
    pub(super) values: &'a [f32],
    pub(super) into: &'a mut [f32],
    pub(super) pitch: usize,
}

impl Loop for Gather<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let side = self.side;
        let mut column = 0;
        for (image, row, pixel, len) in self.pixels.stretches(self.part) {
            let at = side.at((image, row, pixel));
            let rows = self.into.chunks_exact_mut(self.pitch);
            for (into, channel) in rows.zip(self.channels.clone()) {
                let from = &self.values[at + channel * side.plane..];
                let into = &mut into[column..column + len];
                if side.step == 1 {
                    copy(&from[..len], into);
                } else {
                    let from = from.iter().step_by(side.step);
                    for (into, from) in into.iter_mut().zip(from) {
                        *into = *from;
                    }
                }
            }
            column += len;
        }
    }
}

/// Short copies, without the cost of a call.
#[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
#[inline(always)]
fn copy(from: &[f32], into: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<MAX_LANES>();
    let (into, into_rest) = into.as_chunks_mut::<MAX_LANES>();
    for (into, from) in into.iter_mut().zip(from) {
        *into = *from;
    }
    for (into, from) in into_rest.iter_mut().zip(from_rest) {
        *into = *from;
    }
}

/// Tiles that a task takes one after another.
const TILES: usize = 4;

struct Product<'a> {
    pixels: Pixels,
    from: Side,
    to: Side,
    panels: &'a Panels,
    epilogue: Epilogue<'a>,
}

impl Product<'_> {
    /// Writes every pixel of `pixels` to `out`.
    ///
    /// # Safety
    ///
    /// `out` has the elements of the side `to`.
    unsafe fn write(&self, block: Block, values: &[f32], out: Shared<'_>) {
        assert_eq!(values.len(), self.from.len(self.pixels.batch), "a value each pixel");
        let width = VECTORS * block.lanes;
        let tiles = self.pixels.count().div_ceil(width);
        let groups = tiles.div_ceil(TILES);
        let blocks = self.panels.blocks;
        // so many that the last one does not keep the others waiting
        let wanted = 8 * rayon::current_num_threads();
        let parts = wanted.div_ceil(groups).min(blocks.div_ceil(4)).max(1);
        (0..groups * parts).into_par_iter().for_each_init(Vec::new, |packed, task| {
            let (part, group) = (task % parts, task / parts);
            let blocks = part * blocks / parts..(part + 1) * blocks / parts;
            for tile in group * TILES..tiles.min((group + 1) * TILES) {
                let first = tile * width;
                let end = self.pixels.count().min(first + width);
                packed.resize(self.from.channels * width, 0.0);
                vectorized(Gather {
                    side: self.from,
                    pixels: self.pixels,
                    part: first..end,
                    channels: 0..self.from.channels,
                    values,
                    into: packed,
                    pitch: width,
                });
                for index in blocks.clone() {
                    // SAFETY: each tile and block of channels belongs to one task.
                    unsafe { self.tile(block, (first, end), index, packed, out) };
                }
            }
        });
    }

    /// The pixels `first..end`, which lie in `packed`, of the rows of panel `index`.
    unsafe fn tile(
        &self,
        block: Block,
        (first, end): (usize, usize),
        index: usize,
        packed: &[f32],
        out: Shared<'_>,
    ) {
        let width = VECTORS * block.lanes;
        let mut sums = [0.0; MAX_ROWS * VECTORS * MAX_LANES];
        // SAFETY: `packed` has a row of `width` elements for each channel of the panel.
        unsafe {
            kernel::products(
                Products {
                    panel: self.panels.panel(index),
                    values: packed.as_ptr(),
                    stride: width,
                    kernel: 1,
                    taps: &[(0, 0)],
                    starts: core::array::from_fn(|v| v * block.lanes),
                },
                &mut sums,
            );
        }
        let row = index * self.panels.rows;
        let rows = self.panels.rows.min(self.to.channels - row);
        for (r, sums) in sums.chunks_exact(width).enumerate().take(rows) {
            let channel = row + r;
            let mut column = 0;
            for (image, line, pixel, len) in self.pixels.stretches(first..end) {
                let at = self.to.at((image, line, pixel)) + channel * self.to.plane;
                let sums = &sums[column..column + len];
                // SAFETY: these pixels are inside the tensor, and in no other tile.
                unsafe { self.epilogue.write(channel, sums, out, at, self.to.step) };
                column += len;
            }
        }
    }
}
