//! Depthwise convolutions: every channel by itself, row by row.
//!
//! A plane is laid out flat in a small buffer of the thread's own and stays in the cache.

#![expect(unsafe_code, reason = "planes are read through unchecked vector loads")]

use rayon::prelude::*;

use super::{
    backward_data::gradient,
    flat::{Flat, Source},
    forward::input,
    geometry::{Geometry, Pitch},
    kernel::{self, MAX_LANES, ONE, Row},
};

/// Images that [`backward_weight`] sums at a time.
const IMAGES: usize = 16;
/// Planes of a task, at least.
const PLANES: usize = 4;

/// `y[n, c] = bias[c] + sum_k w[c, k] * x[n, c]`, the latter shifted by tap `k`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let source = planes(input(geometry), 1);
    let (height, width) = (geometry.y.output, geometry.x.output);
    let (from, to) = (geometry.input_plane(), geometry.output_plane());
    let mut y = vec![0.0; geometry.batch * geometry.groups * to];
    y.par_chunks_mut(to).enumerate().with_min_len(PLANES).for_each_init(
        Flat::default,
        |flat, (plane, y)| {
            let c = plane % geometry.groups;
            flat.refill([&x[plane * from..][..from]].into_iter(), &source);
            let taps = geometry.taps.iter();
            let offsets: Vec<isize> =
                taps.map(|tap| (tap.phase * flat.phase) as isize + tap.offset).collect();
            let weights = &w[c * offsets.len()..][..offsets.len()];
            let bias = bias.map_or(0.0, |bias| bias[c]);
            for (j, y) in y.chunks_exact_mut(width).enumerate().take(height) {
                let values = flat.at(0, 0).wrapping_add(j * geometry.pitch.row);
                // SAFETY: the layout has room for the taps around every position and for
                // whole vectors at its end.
                unsafe {
                    kernel::row(Row { weights, offsets: &offsets, values, bias }, y);
                }
            }
        },
    );
    y
}

/// `dx[n, c, · s + r] = sum_(k of phase r) w[c, k] * dy[n, c, · - q_k]`.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let source = planes(gradient(geometry), 1);
    let (from, to) = (geometry.output_plane(), geometry.input_plane());
    let kernel = geometry.taps.len();
    let phases: Vec<(Vec<usize>, Vec<isize>)> = (0..geometry.phases.len())
        .map(|phase| {
            let taps = geometry.taps.iter().enumerate();
            taps.filter(|(_, tap)| tap.phase == phase)
                .map(|(k, tap)| (k, -tap.offset))
                .unzip()
        })
        .collect();
    let (width, stride) = (geometry.x.input, (geometry.y.stride, geometry.x.stride));
    let mut dx = vec![0.0; geometry.batch * geometry.groups * to];
    dx.par_chunks_mut(to).enumerate().with_min_len(PLANES).for_each_init(
        || (Flat::default(), vec![0.0; width]),
        |(flat, row), (plane, dx)| {
            flat.refill([&dy[plane * from..][..from]].into_iter(), &source);
            let w = &w[plane % geometry.groups * kernel..][..kernel];
            for (&(ry, rx), (taps, offsets)) in geometry.phases.iter().zip(&phases) {
                let weights: Vec<f32> = taps.iter().map(|&k| w[k]).collect();
                let len = geometry.x.phase(rx);
                for (j, dx) in
                    dx.chunks_exact_mut(width).skip(ry).step_by(stride.0).enumerate()
                {
                    let values = flat.at(0, 0).wrapping_add(j * geometry.pitch.row);
                    let operands = Row { weights: &weights, offsets, values, bias: 0.0 };
                    if stride.1 == 1 {
                        // SAFETY: as in `forward`.
                        unsafe { kernel::row(operands, dx) };
                    } else {
                        // SAFETY: as in `forward`.
                        unsafe { kernel::row(operands, &mut row[..len]) };
                        let to = dx.iter_mut().skip(rx).step_by(stride.1);
                        for (to, from) in to.zip(&row[..len]) {
                            *to = *from;
                        }
                    }
                }
            }
        },
    );
    dx
}

/// `dw[c, k] = sum over positions of dy[c] * x[c]`, the latter shifted by tap `k`.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (batch, channels) = (geometry.batch, geometry.groups);
    let kernel = geometry.taps.len();
    let (from, to) = (geometry.input_plane(), geometry.output_plane());
    let task = |(flat_x, flat_dy): &mut (Flat, Flat), c: usize, dw: &mut [f32]| {
        for first in (0..batch).step_by(IMAGES) {
            let images = first..batch.min(first + IMAGES);
            let part = |source| planes(source, images.len());
            let of_x = images.clone().map(|n| &x[(n * channels + c) * from..][..from]);
            flat_x.refill(of_x, &part(input(geometry)));
            let of_dy = images.clone().map(|n| &dy[(n * channels + c) * to..][..to]);
            flat_dy.refill(of_dy, &part(gradient(geometry)));
            // whole vectors: behind the last position the layouts go on with zeros
            let len = (images.len() * geometry.pitch.image).next_multiple_of(MAX_LANES);
            for (taps, dw) in geometry.taps.chunks(ONE).zip(dw.chunks_mut(ONE)) {
                let right: [*const f32; ONE] = core::array::from_fn(|k| {
                    let tap = taps[k.min(taps.len() - 1)];
                    flat_x.at(0, tap.phase).wrapping_offset(tap.offset)
                });
                // SAFETY: the layouts have room for the taps around every position.
                let sums = unsafe { kernel::dots_one(flat_dy.at(0, 0), right, len) };
                for (dw, sum) in dw.iter_mut().zip(sums) {
                    *dw += sum;
                }
            }
        }
    };
    let mut dw = vec![0.0; channels * kernel];
    dw.par_chunks_mut(kernel)
        .enumerate()
        .for_each_init(<(Flat, Flat)>::default, |flats, (c, dw)| task(flats, c, dw));
    dw
}

/// One channel of a few images of `source`.
fn planes(source: Source<'_>, batch: usize) -> Source<'_> {
    let pitch = Pitch { total: batch * source.pitch.image, ..source.pitch };
    Source { batch, channels: 1, pitch, ..source }
}
