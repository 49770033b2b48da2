//! 1 x 1 convolutions of large images: plain matrix products, without a copy.
//!
//! The products have the same sizes for every image, whatever the batch, so that a
//! sample's result does not depend on it.

#![expect(unsafe_code, reason = "matrix products through pointers")]

use gemm::Parallelism;
use rayon::prelude::*;

use super::{
    geometry::Geometry,
    shared::{Shared, filled},
};

/// Pixels of an image from which on this way is the faster one.
const LARGE: usize = 256;
/// Pixels of a task.
const PIXELS: usize = 1024;
/// Channels of a task of [`backward_weight`], on both sides.
const CHANNELS: usize = 64;

/// Whether this file's way is the one for `geometry`.
pub(super) fn is_large(geometry: &Geometry) -> bool {
    geometry.is_pointwise() && geometry.output_plane() >= LARGE
}

/// `y[n] = w x[n] + bias`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let (outputs, inputs) = (geometry.outputs, geometry.inputs);
    images(geometry, (outputs, inputs), Matrix { values: w, strides: (inputs, 1) }, x, bias)
}

/// `dx[n] = w^T dy[n]`.
pub(super) fn backward_data(geometry: &Geometry, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let (outputs, inputs) = (geometry.outputs, geometry.inputs);
    images(
        geometry,
        (inputs, outputs),
        Matrix { values: w, strides: (1, inputs) },
        dy,
        None,
    )
}

#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    /// Elements from a row to the next, and from a column to the next.
    strides: (usize, usize),
}

/// `out[n] = w from[n] + bias`, `w` being `rows` x `inner`.
fn images(
    geometry: &Geometry,
    (rows, inner): (usize, usize),
    w: Matrix<'_>,
    from: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let pixels = geometry.output_plane();
    let parts = pixels.div_ceil(PIXELS);
    let jobs = geometry.batch * parts;
    assert_eq!(from.len(), geometry.batch * inner * pixels, "one value each pixel");
    assert_eq!(w.values.len(), rows * inner, "one weight each pair of channels");
    let fill = |out: Shared<'_>| {
        (0..jobs).into_par_iter().for_each(|job| {
            let (n, part) = (job / parts, job % parts);
            let first = part * pixels / parts;
            let len = (part + 1) * pixels / parts - first;
            let from = &from[n * inner * pixels + first..];
            let at = n * rows * pixels + first;
            if let Some(bias) = bias {
                for (row, &bias) in bias.iter().enumerate() {
                    // SAFETY: these pixels belong to this job.
                    unsafe { out.slice(at + row * pixels, len) }.fill(bias);
                }
            }
            // SAFETY: the strides describe matrices inside the three slices, whose
            // lengths were checked above; the pixels of `out` belong to this job.
            unsafe {
                gemm::gemm(
                    rows,
                    len,
                    inner,
                    out.pointer(at),
                    1,
                    pixels as isize,
                    bias.is_some(),
                    w.values.as_ptr(),
                    w.strides.1 as isize,
                    w.strides.0 as isize,
                    from.as_ptr(),
                    1,
                    pixels as isize,
                    1.0,
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
        });
    };
    // SAFETY: the jobs cover all pixels of all images.
    unsafe { filled(geometry.batch * rows * pixels, fill) }
}

/// `dw = sum_n dy[n] x[n]^T`.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (outputs, inputs) = (geometry.outputs, geometry.inputs);
    let pixels = geometry.output_plane();
    assert_eq!(x.len(), geometry.batch * inputs * pixels, "one value each pixel");
    assert_eq!(dy.len(), geometry.batch * outputs * pixels, "one value each pixel");
    let (o_tasks, c_tasks) = (outputs.div_ceil(CHANNELS), inputs.div_ceil(CHANNELS));
    let fill = |dw: Shared<'_>| {
        (0..o_tasks * c_tasks).into_par_iter().for_each(|task| {
            let (o, c) = (task / c_tasks * CHANNELS, task % c_tasks * CHANNELS);
            let (rows, columns) = ((outputs - o).min(CHANNELS), (inputs - c).min(CHANNELS));
            for n in 0..geometry.batch {
                let dy = &dy[(n * outputs + o) * pixels..][..rows * pixels];
                let x = &x[(n * inputs + c) * pixels..][..columns * pixels];
                // SAFETY: the strides describe matrices inside the slices; these elements
                // of `dw` belong to this task.
                unsafe {
                    gemm::gemm(
                        rows,
                        columns,
                        pixels,
                        dw.pointer(o * inputs + c),
                        1,
                        inputs as isize,
                        n > 0,
                        dy.as_ptr(),
                        1,
                        pixels as isize,
                        x.as_ptr(),
                        pixels as isize,
                        1,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        Parallelism::None,
                    );
                }
            }
        });
    };
    // SAFETY: the tasks cover all pairs of channels.
    unsafe { filled(outputs * inputs, fill) }
}
