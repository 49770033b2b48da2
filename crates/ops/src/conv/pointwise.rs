//! 1 x 1 convolutions: a matrix product at every pixel.
//!
//! A few vectors of pixels, of one image or of several, are copied side by side and
//! multiplied with all weights while they are in the cache. Each result is one chain of
//! products, channel by channel: it depends neither on the batch nor on the threads.

#![expect(unsafe_code, reason = "tasks write disjoint results of one output")]

use core::ops::Range;

use rayon::prelude::*;

use crate::{
    map,
    simd::{Loop, vectorized},
};

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
        channels: (geometry.inputs, geometry.outputs),
        panels: &panels,
        epilogue,
    };
    // SAFETY: every pixel of the result belongs to a tile.
    unsafe { filled(product.len(), |y| product.write(block, x, y)) }
}

/// `dx[n] = w^T dy[n]`.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let block = Block::of_this_machine();
    let panels = Panels::new(&weights(geometry, w, true), block.rows);
    let product = Product {
        pixels: Pixels::of(geometry),
        channels: (geometry.outputs, geometry.inputs),
        panels: &panels,
        epilogue: Epilogue::NONE,
    };
    // SAFETY: every pixel belongs to a tile.
    unsafe { filled(product.len(), |dx| product.write(block, dy, dx)) }
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

/// Every `stride`-th pixel of the input, which is all that is read.
pub(super) fn subsampled(geometry: &Geometry, x: &[f32]) -> Vec<f32> {
    let (from, to) = (geometry.input_plane(), geometry.output_plane());
    let (y_axis, x_axis) = (geometry.y, geometry.x);
    map::planes(x.len() / from * to, to, |plane, out| {
        let rows = x[plane * from..][..from].chunks_exact(x_axis.input);
        let lines = out.chunks_exact_mut(x_axis.output);
        for (out, row) in lines.zip(rows.step_by(y_axis.stride)) {
            for (out, x) in out.iter_mut().zip(row.iter().step_by(x_axis.stride)) {
                *out = *x;
            }
        }
    })
}

/// The other way round, with zeros between.
pub(super) fn spread(geometry: &Geometry, dx: &[f32]) -> Vec<f32> {
    let (from, to) = (geometry.output_plane(), geometry.input_plane());
    let (y_axis, x_axis) = (geometry.y, geometry.x);
    map::planes(dx.len() / from * to, to, |plane, out| {
        let rows = dx[plane * from..][..from].chunks_exact(x_axis.output);
        let lines = out.chunks_exact_mut(x_axis.input).step_by(y_axis.stride);
        for (out, row) in lines.zip(rows) {
            for (out, dx) in out.iter_mut().step_by(x_axis.stride).zip(row) {
                *out = *dx;
            }
        }
    })
}

/// The pixels of all images, one after another.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub(super) batch: usize,
    /// Of an image.
    pub(super) plane: usize,
}

impl Pixels {
    pub(super) fn of(geometry: &Geometry) -> Self {
        Self { batch: geometry.batch, plane: geometry.output_plane() }
    }

    pub(super) fn count(&self) -> usize {
        self.batch * self.plane
    }

    /// The stretches of a part of them: image, first pixel and number of pixels.
    fn stretches(self, part: Range<usize>) -> impl Iterator<Item = (usize, usize, usize)> {
        let Range { start: mut next, end } = part;
        core::iter::from_fn(move || {
            let (image, pixel) = (next / self.plane, next % self.plane);
            let len = (self.plane - pixel).min(end.checked_sub(next)?);
            next += len;
            (len > 0).then_some((image, pixel, len))
        })
    }
}

/// Copies the pixels `part` of some channels side by side, into rows of `pitch`.
pub(super) struct Gather<'a> {
    pub(super) pixels: Pixels,
    pub(super) part: Range<usize>,
    pub(super) channels: Range<usize>,
    /// Channels of an image.
    pub(super) of: usize,
    pub(super) values: &'a [f32],
    pub(super) into: &'a mut [f32],
    pub(super) pitch: usize,
}

impl Loop for Gather<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let mut column = 0;
        for (image, pixel, len) in self.pixels.stretches(self.part) {
            let rows = self.into.chunks_exact_mut(self.pitch);
            for (into, channel) in rows.zip(self.channels.clone()) {
                let at = (image * self.of + channel) * self.pixels.plane + pixel;
                copy(&self.values[at..at + len], &mut into[column..column + len]);
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
    /// Of what is read, and of what is written.
    channels: (usize, usize),
    panels: &'a Panels,
    epilogue: Epilogue<'a>,
}

impl Product<'_> {
    /// Elements of the result.
    fn len(&self) -> usize {
        self.pixels.count() * self.channels.1
    }

    /// Writes every pixel of `pixels` to `out`.
    ///
    /// # Safety
    ///
    /// `out` has the elements of the result.
    unsafe fn write(&self, block: Block, values: &[f32], out: Shared<'_>) {
        let inputs = self.channels.0;
        assert_eq!(values.len(), self.pixels.count() * inputs, "a value each pixel");
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
                packed.resize(inputs * width, 0.0);
                vectorized(Gather {
                    pixels: self.pixels,
                    part: first..end,
                    channels: 0..inputs,
                    of: inputs,
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
        let (outputs, row) = (self.channels.1, index * self.panels.rows);
        let rows = self.panels.rows.min(outputs - row);
        for (r, sums) in sums.chunks_exact(width).enumerate().take(rows) {
            let channel = row + r;
            let mut column = 0;
            for (image, pixel, len) in self.pixels.stretches(first..end) {
                let at = (image * outputs + channel) * self.pixels.plane + pixel;
                let sums = &sums[column..column + len];
                // SAFETY: these pixels are inside the tensor, and in no other tile.
                unsafe { self.epilogue.write(channel, sums, out, at, 1) };
                column += len;
            }
        }
    }
}
