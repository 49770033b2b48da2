//! Depthwise convolutions: every channel by itself, sixteen of them side by side.
//!
//! Sixteen planes are turned so that their values at a pixel are neighbours, with the padding
//! around them: then every tap reads one vector, whatever the stride and the plane's size.

use rayon::prelude::*;

use super::{
    depthwise_kernel::{self as kernel, LANES, Taps, Vector},
    epilogue::Epilogue,
    geometry::Geometry,
};
use crate::map;

/// `y[n, c] = epilogue(sum_k w[c, k] * x[n, c])`, the latter shifted by tap `k`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let grid = Turned::new(geometry);
    let (from, to) = (geometry.input_plane(), geometry.output_plane());
    map::planes(geometry.batch * geometry.groups * to, LANES * to, |group, y| {
        let first = group * LANES;
        let lanes = y.len() / to;
        let x = grid.load(&x[first * from..][..lanes * from]);
        let mut sums = vec![[0.0; LANES]; to];
        kernel::convolve(&grid.taps(), &x, &grid.weights(w, first, lanes), &mut sums);
        unturn_line(&sums, to, y);
        for (plane, y) in (first..).zip(y.chunks_exact_mut(to)) {
            epilogue.apply(plane % geometry.groups, plane * to, y);
        }
    })
}

/// `dx[n, c, · s + k d - p] += w[c, k] * dy[n, c]`.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let grid = Turned::new(geometry);
    let (from, to) = (geometry.output_plane(), geometry.input_plane());
    map::planes(geometry.batch * geometry.groups * to, LANES * to, |group, dx| {
        let first = group * LANES;
        let lanes = dx.len() / to;
        let dy = turn(&dy[first * from..][..lanes * from], from);
        let mut sums = vec![[0.0; LANES]; grid.height * grid.width];
        kernel::spread(&grid.taps(), &dy, &grid.weights(w, first, lanes), &mut sums);
        grid.unload(&sums, dx);
    })
}

/// `dw[c, k] = sum over images and positions of dy[c] * x[c]`, the latter shifted by tap `k`.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let grid = Turned::new(geometry);
    let (batch, channels) = (geometry.batch, geometry.groups);
    let taps = grid.offsets.len();
    let (from, to) = (geometry.input_plane(), geometry.output_plane());
    let mut dw = vec![0.0; channels * taps];
    dw.par_chunks_mut(LANES * taps).enumerate().for_each(|(group, dw)| {
        let lanes = dw.len() / taps;
        let mut sums = vec![[0f64; LANES]; taps];
        for n in 0..batch {
            let plane = n * channels + group * LANES;
            let x = grid.load(&x[plane * from..][..lanes * from]);
            let dy = turn(&dy[plane * to..][..lanes * to], to);
            kernel::add_products(&grid.taps(), &x, &dy, &mut sums);
        }
        for (lane, dw) in dw.chunks_exact_mut(taps).enumerate() {
            for (dw, sums) in dw.iter_mut().zip(&sums) {
                *dw = sums[lane] as f32;
            }
        }
    });
    dw
}

/// The layout of sixteen input planes side by side, with padding.
struct Turned {
    /// Height and width of an input plane.
    input: (usize, usize),
    /// Height and width of an output plane.
    output: (usize, usize),
    padding: (usize, usize),
    stride: (usize, usize),
    /// Height and width with padding.
    height: usize,
    width: usize,
    /// Where each tap of output 0 reads.
    offsets: Vec<usize>,
    /// Channels of an image.
    channels: usize,
}

impl Turned {
    fn new(geometry: &Geometry) -> Self {
        let (y, x) = (geometry.y, geometry.x);
        let width = x.input + 2 * x.padding;
        let rows = (0..y.kernel).map(|k| k * y.dilation * width);
        let columns = |row| (0..x.kernel).map(move |k| row + k * x.dilation);
        Self {
            input: (y.input, x.input),
            output: (y.output, x.output),
            padding: (y.padding, x.padding),
            stride: (y.stride, x.stride),
            height: y.input + 2 * y.padding,
            width,
            offsets: rows.flat_map(columns).collect(),
            channels: geometry.groups,
        }
    }

    /// The weights of planes `first..first + lanes`, tap by tap.
    fn weights(&self, w: &[f32], first: usize, lanes: usize) -> Vec<Vector> {
        let taps = self.offsets.len();
        let mut weights = vec![[0.0; LANES]; taps];
        for lane in 0..lanes {
            let w = &w[(first + lane) % self.channels * taps..][..taps];
            for (to, from) in weights.iter_mut().zip(w) {
                to[lane] = *from;
            }
        }
        weights
    }

    /// First element of input row `row`.
    fn row(&self, row: usize) -> usize {
        (row + self.padding.0) * self.width + self.padding.1
    }

    /// What the loops of [`kernel`] need of it.
    fn taps(&self) -> Taps<'_> {
        Taps {
            offsets: &self.offsets,
            pitch: (self.stride.0 * self.width, self.stride.1),
            width: self.output.1,
        }
    }

    /// Planes with zeros around them.
    fn load(&self, planes: &[f32]) -> Vec<Vector> {
        let (height, width) = self.input;
        let mut turned = vec![[0.0; LANES]; self.height * self.width];
        for row in 0..height {
            let into = &mut turned[self.row(row)..][..width];
            turn_line(&planes[row * width..], height * width, into);
        }
        turned
    }

    /// Planes without what is around them.
    fn unload(&self, turned: &[Vector], planes: &mut [f32]) {
        let (height, width) = self.input;
        for row in 0..height {
            let from = &turned[self.row(row)..][..width];
            unturn_line(from, height * width, &mut planes[row * width..]);
        }
    }
}

/// Planes of `size` values, side by side.
fn turn(planes: &[f32], size: usize) -> Vec<Vector> {
    let mut turned = vec![[0.0; LANES]; size];
    turn_line(planes, size, &mut turned);
    turned
}

/// Lines of planes that are `size` apart, side by side; missing ones are zero.
///
/// Not compiled for wide vectors, where the compiler would scatter.
fn turn_line(planes: &[f32], size: usize, into: &mut [Vector]) {
    let len = into.len();
    let lines: [&[f32]; LANES] = core::array::from_fn(|lane| {
        planes.get(lane * size..lane * size + len).unwrap_or(&[])
    });
    if lines.iter().all(|line| line.len() == len) {
        for (i, into) in into.iter_mut().enumerate() {
            for (into, line) in into.iter_mut().zip(&lines) {
                *into = line[i];
            }
        }
    } else {
        for (lane, line) in lines.iter().enumerate() {
            for (into, from) in into.iter_mut().zip(*line) {
                into[lane] = *from;
            }
        }
    }
}

/// The other way round.
fn unturn_line(from: &[Vector], size: usize, planes: &mut [f32]) {
    for (lane, plane) in planes.chunks_mut(size).enumerate() {
        for (to, from) in plane.iter_mut().zip(from) {
            *to = from[lane];
        }
    }
}
