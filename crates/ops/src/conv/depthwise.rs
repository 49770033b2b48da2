//! Depthwise convolutions: every channel by itself, all channels of a pixel side by side.
//!
//! Pixels that read the same taps, with no border between, are taken together: a vector of
//! weights is then read once for all of them.

#![expect(unsafe_code, reason = "the results are written once, by several threads")]

use super::{
    depthwise_kernel::{Group, convolve},
    depthwise_products::{Products, add_products},
    epilogue::Epilogue,
    geometry::Geometry,
    lattice::{Lattice, Position},
};
use crate::{
    shared::{Shared, chunks_mut, filled},
    threads,
    turn::Matrix,
};

/// Values that a task writes, about.
const TASK: usize = 1 << 14;
/// Values whose products a task sums, about: many against their sums.
const SUMMED: usize = 1 << 15;

/// `y[n, c] = epilogue(sum_k w[c, k] * x[n, c])`, the latter shifted by tap `k`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let lattice = Lattice::forward(geometry);
    let len = lattice.positions() * geometry.groups;
    let (weights, epilogue) = (turned(geometry, w), epilogue.of_result(len));
    let rows = Rows { lattice: &lattice, x, weights: &weights, epilogue };
    // SAFETY: the lattice's pixels are all of the result.
    unsafe { filled(len, |out| rows.write(out)) }
}

/// `dx[n, c, · s + k d - p] += scale[c] * w[c, k] * dy[n, c]`, and what `epilogue` makes of it.
pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &[f32],
    (w, scale): (&[f32], Option<&[f32]>),
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let len = geometry.batch * geometry.y.input * geometry.x.input * geometry.groups;
    let (mut weights, epilogue) = (turned(geometry, w), epilogue.of_result(len));
    for of_element in weights.chunks_exact_mut(geometry.groups) {
        let scaled = of_element.iter_mut().zip(scale.into_iter().flatten());
        scaled.for_each(|(weight, scale)| *weight *= scale);
    }
    let fill = |out: Shared<'_>| {
        for lattice in Lattice::backward(geometry, geometry.stride()) {
            let rows = Rows { lattice: &lattice, x: dy, weights: &weights, epilogue };
            // SAFETY: the lattices are inside the input.
            unsafe { rows.write(out) };
        }
    };
    // SAFETY: every pixel of the input belongs to one lattice.
    unsafe { filled(len, fill) }
}

/// `dw[c, k] = sum over images and positions of dy[c] * x[c]`, the latter shifted by tap `k`.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let lattice = &Lattice::forward(geometry);
    let (channels, taps) = (geometry.groups, lattice.taps.len());
    let rows = lattice.batch * lattice.grid.0;
    // a function of the shape alone, and so is the order of the sums
    let task = SUMMED.div_ceil(lattice.grid.1 * channels);
    let mut parts: Vec<Vec<f64>> = vec![Vec::new(); rows.div_ceil(task)];
    chunks_mut(&mut parts, 1, |i, part| {
        let rows = i * task..((i + 1) * task).min(rows);
        part[0] = add_products(&Products { lattice, x, dy, channels, rows });
    });
    let mut sums = vec![0f64; taps * channels];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let of_channel = |c| sums[c..].iter().step_by(channels).map(|&sum| sum as f32);
    (0..channels).flat_map(of_channel).collect()
}

/// The weights of all channels, element by element of the kernel.
fn turned(geometry: &Geometry, w: &[f32]) -> Vec<f32> {
    let (channels, elements) = (geometry.groups, geometry.elements());
    let mut weights = vec![0.0; w.len()];
    let kernels = Matrix { values: w, pitch: elements };
    let places: Vec<usize> = (0..elements).map(|element| element * channels).collect();
    kernels.turn(channels, &places, &mut weights);
    weights
}

/// Rows of positions, which are computed one by one.
struct Rows<'a> {
    lattice: &'a Lattice,
    x: &'a [f32],
    /// `[element of the kernel][channel]`
    weights: &'a [f32],
    epilogue: Epilogue<'a>,
}

impl Rows<'_> {
    fn channels(&self) -> usize {
        self.x.len() / (self.lattice.batch * self.lattice.from.count())
    }

    /// # Safety
    ///
    /// `out` has room for the pixels of the lattice, and nobody else touches these.
    unsafe fn write(&self, out: Shared<'_>) {
        let (rows, columns) = self.lattice.grid;
        let size = TASK.div_ceil(columns * self.channels());
        let all = self.lattice.batch * rows;
        threads::each(all.div_ceil(size), |task| {
            for row in task * size..((task + 1) * size).min(all) {
                let position = Position { image: row / rows, row: row % rows, column: 0 };
                // SAFETY: as the caller promises.
                unsafe { self.row(position, out) };
            }
        });
    }

    unsafe fn row(&self, start: Position, out: Shared<'_>) {
        let columns = self.lattice.grid.1;
        let inside = self.lattice.inside();
        let mut taps = Vec::with_capacity(self.lattice.taps.len());
        let mut column = 0;
        while column < columns {
            let position = Position { column, ..start };
            // between the borders the taps of neighbours are neighbours
            let count = if inside.contains(&column) { inside.end - column } else { 1 };
            self.taps(position, &mut taps);
            let group = Group {
                taps: &taps,
                x: self.x,
                weights: self.weights,
                channels: self.channels(),
                step: self.lattice.from.step.1 * self.channels(),
                place: self.lattice.to.of(position) * self.channels(),
                place_step: self.lattice.to.step.1 * self.channels(),
                count,
                epilogue: self.epilogue,
            };
            // SAFETY: these pixels belong to this row of the lattice alone.
            unsafe { convolve(&group, out.pointer(0)) };
            column += count;
        }
    }

    /// The taps of a position that are inside the image: where each begins, and its weights.
    fn taps(&self, position: Position, taps: &mut Vec<(usize, usize)>) {
        let channels = self.channels();
        taps.clear();
        taps.extend(self.lattice.taps.iter().filter_map(|tap| {
            let pixel = self.lattice.read(position, tap)?;
            Some((pixel * channels, tap.element * channels))
        }));
    }
}
