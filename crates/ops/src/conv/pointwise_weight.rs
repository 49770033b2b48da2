//! The gradient of the weights of 1 x 1 convolutions: scalar products of channels.

#![expect(unsafe_code, reason = "tasks write disjoint gradients; rows are read unchecked")]

use core::ops::Range;

use rayon::prelude::*;

use crate::simd::vectorized;

use super::{
    geometry::Geometry,
    kernel::{self, LEFT, MAX_LANES, RIGHT, Stretches},
    pointwise::{Gather, Pixels},
    shared::{Shared, filled},
};

/// Pixels of a block: its channels stay in the cache.
const PIXELS: usize = 1024;
/// Output channels of a task.
const OUTPUTS: usize = 64;
/// Input channels of a task.
const INPUTS: usize = 48;

/// `dw = sum_n dy[n] x[n]^T`, block by block of the pixels of all images.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let (outputs, inputs) = (geometry.outputs, geometry.inputs);
    let (o_tasks, c_tasks) = (outputs.div_ceil(OUTPUTS), inputs.div_ceil(INPUTS));
    let pixels = Pixels::of(geometry);
    let compute = |dw: Shared<'_>| {
        let buffers = <(Vec<f32>, Vec<f32>)>::default;
        let tasks = (0..o_tasks * c_tasks).into_par_iter();
        tasks.for_each_init(buffers, |(left, right), task| {
            let (o, c) = (task / c_tasks * OUTPUTS, task % c_tasks * INPUTS);
            let o = o..outputs.min(o + OUTPUTS);
            let c = c..inputs.min(c + INPUTS);
            let mut sums = vec![0.0; o.len() * c.len()];
            for first in (0..pixels.count()).step_by(PIXELS) {
                let end = pixels.count().min(first + PIXELS);
                // whole vectors: zeros follow the last pixel
                let len = (end - first).next_multiple_of(MAX_LANES);
                let gather = |channels: &Range<usize>, of, values, into: &mut Vec<f32>| {
                    into.clear();
                    into.resize(channels.len() * len, 0.0);
                    vectorized(Gather {
                        pixels,
                        part: first..end,
                        channels: channels.clone(),
                        of,
                        values,
                        into,
                        pitch: len,
                    });
                };
                gather(&o, outputs, dy, left);
                gather(&c, inputs, x, right);
                add_products((left, o.len()), (right, c.len()), len, &mut sums);
            }
            for (o, sums) in o.zip(sums.chunks_exact(c.len())) {
                // SAFETY: inside `dw`, and each task has its own channels.
                unsafe { dw.slice(o * inputs + c.start, c.len()) }.copy_from_slice(sums);
            }
        });
    };
    // SAFETY: the tasks cover all pairs of channels.
    unsafe { filled(outputs * inputs, compute) }
}

/// Adds the scalar products of each left with each right row, which have `len` elements.
fn add_products(
    (left, outputs): (&[f32], usize),
    (right, inputs): (&[f32], usize),
    len: usize,
    sums: &mut [f32],
) {
    let row = |rows: &[f32], index: usize| rows[index * len..][..len].as_ptr();
    let over = Stretches { count: 1, pitch: 0, len };
    for i in (0..inputs).step_by(RIGHT) {
        let right = core::array::from_fn(|k| row(right, (i + k).min(inputs - 1)));
        for o in (0..outputs).step_by(LEFT) {
            let left = core::array::from_fn(|k| row(left, (o + k).min(outputs - 1)));
            // SAFETY: `row` has cut `len` elements.
            let block = unsafe { kernel::dots(left, right, over) };
            for (o, block) in (o..outputs).zip(block) {
                for (i, sum) in (i..inputs).zip(block) {
                    sums[o * inputs + i] += sum;
                }
            }
        }
    }
}
