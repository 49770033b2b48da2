//! The gradients of the weights and of the bias.
//!
//! With input and gradient in the same flat layout, the gradient of a weight is one
//! scalar product of two shifted rows: the zeros between the rows of `dy` drop what lies
//! outside. The positions are summed in blocks of a fixed size, one after another, so
//! that the result does not depend on the number of threads.

#![expect(unsafe_code, reason = "tasks write disjoint gradients; rows are read unchecked")]

use rayon::prelude::*;

use crate::sums::sum;

use super::{
    flat::Flat,
    geometry::Geometry,
    kernel::{self, LEFT, MAX_LANES, RIGHT, Stretches},
    shared::{Shared, filled},
};

/// Positions of a block: four rows of `dy` and one channel of `x` stay in the cache.
const POSITIONS: usize = 2048;
/// Output channels of a task.
const OUTPUTS: usize = 32;
/// Input channels of a task.
const INPUTS: usize = 8;

/// `dw[o, c, k] = sum over positions of dy[o] * x[c]`, the latter shifted by tap `k`.
pub(super) fn backward_weight(geometry: &Geometry, x: &Flat, dy: &Flat) -> Vec<f32> {
    let (groups, outputs, inputs) = (geometry.groups, geometry.outputs, geometry.inputs);
    let kernel = geometry.taps.len();
    let (o_tasks, c_tasks) = (outputs.div_ceil(OUTPUTS), inputs.div_ceil(INPUTS));
    let len = groups * outputs * inputs * kernel;
    let compute = |dw: Shared<'_>| {
        (0..groups * o_tasks * c_tasks).into_par_iter().for_each(|task| {
            let (g, o, c) =
                (task / (o_tasks * c_tasks), task / c_tasks % o_tasks, task % c_tasks);
            let o = o * OUTPUTS..outputs.min((o + 1) * OUTPUTS);
            let c = c * INPUTS..inputs.min((c + 1) * INPUTS);
            let row = c.len() * kernel;
            let sums = sums(
                geometry,
                (x, g * inputs + c.start, c.len()),
                (dy, g * outputs + o.start, o.len()),
            );
            for (i, sums) in sums.chunks_exact(row).enumerate() {
                let at = ((g * outputs + o.start + i) * inputs + c.start) * kernel;
                // SAFETY: inside `dw`, and each task has its own channels.
                unsafe { dw.slice(at, row) }.copy_from_slice(sums);
            }
        });
    };
    // SAFETY: the tasks cover all pairs of channels.
    unsafe { filled(len, compute) }
}

/// Gradients `[outputs][inputs][tap]` of a few channels, each given as (layout, first,
/// number).
fn sums(
    geometry: &Geometry,
    (x, c, inputs): (&Flat, usize, usize),
    (dy, o, outputs): (&Flat, usize, usize),
) -> Vec<f32> {
    let row = inputs * geometry.taps.len();
    let right: Vec<*const f32> = (c..c + inputs)
        .flat_map(|c| {
            geometry
                .taps
                .iter()
                .map(move |tap| x.at(c, tap.phase).wrapping_offset(tap.offset))
        })
        .collect();
    let left: Vec<*const f32> = (o..o + outputs).map(|o| dy.at(o, 0)).collect();
    let mut sums = vec![0.0; outputs * row];
    for (start, over) in blocks(geometry) {
        for j in (0..row).step_by(RIGHT) {
            let right: [*const f32; RIGHT] =
                core::array::from_fn(|k| right[(j + k).min(row - 1)].wrapping_add(start));
            for i in (0..outputs).step_by(LEFT) {
                let left: [*const f32; LEFT] = core::array::from_fn(|k| {
                    left[(i + k).min(outputs - 1)].wrapping_add(start)
                });
                // SAFETY: the layouts have room for the reach of the taps around every
                // position.
                let block = unsafe { kernel::dots(left, right, over) };
                for (i, block) in (i..outputs).zip(block) {
                    let to = &mut sums[i * row + j..(i + 1) * row];
                    for (to, sum) in to.iter_mut().zip(block) {
                        *to += sum;
                    }
                }
            }
        }
    }
    sums
}

/// Positions that hold a result, in blocks: the first one of each, and what follows.
///
/// A few zeros are part of them. All vectors are whole: behind each stretch the layout of
/// `dy` goes on with zeros.
fn blocks(geometry: &Geometry) -> Vec<(usize, Stretches)> {
    let pitch = geometry.pitch;
    let len = (geometry.x.output * pitch.pixel).next_multiple_of(MAX_LANES);
    if pitch.is_interleaved() && len <= pitch.row {
        let rows = (POSITIONS / len).max(1);
        let block = |first: usize| {
            let count = (geometry.y.output - first).min(rows);
            (first * pitch.row, Stretches { count, pitch: pitch.row, len })
        };
        return (0..geometry.y.output).step_by(rows).map(block).collect();
    }
    let block = |first: usize| {
        let len = (pitch.total - first).min(POSITIONS).next_multiple_of(MAX_LANES);
        (first, Stretches { count: 1, pitch: 0, len })
    };
    (0..pitch.total).step_by(POSITIONS).map(block).collect()
}

/// `db[o] = sum of dy[:, o]`.
pub(super) fn backward_bias(geometry: &Geometry, dy: &[f32]) -> Vec<f32> {
    let (batch, channels, height, width) = geometry.result();
    let plane = height * width;
    (0..channels)
        .into_par_iter()
        .map(|o| {
            let image = |n: usize| sum(&dy[(n * channels + o) * plane..][..plane]);
            (0..batch).map(image).sum::<f64>() as f32
        })
        .collect()
}
