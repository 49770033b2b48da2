//! The result of a convolution.

#![expect(unsafe_code, reason = "the results are written once, by several threads")]

use super::{
    epilogue::Epilogue,
    flat::{Flat, Source},
    geometry::{Geometry, Tap},
    grid::{Grid, Target},
    kernel::Block,
    products::{Panels, Shift, Sum, Weights},
    shared::filled,
};

/// `y[n, o] = epilogue(sum_c sum_k w[o, c, k] * x[n, c, · s + k d - p])`.
pub(super) fn forward(
    geometry: &Geometry,
    x: &[f32],
    w: &[f32],
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    let block = Block::of_this_machine();
    let flat = Flat::new(x, &input(geometry));
    let shift = |tap: &Tap| Shift {
        offset: (tap.phase * flat.phase) as isize + tap.offset,
        rows: tap.rows,
        height: geometry.y.phase(geometry.phases[tap.phase].0),
    };
    let shifts: Vec<Shift> = geometry.taps.iter().map(shift).collect();
    let taps: Vec<usize> = (0..shifts.len()).collect();
    let panels = Panels::new(
        &Weights {
            values: w,
            groups: geometry.groups,
            rows: geometry.outputs,
            channels: geometry.inputs,
            strides: (geometry.inputs * taps.len(), taps.len()),
            taps: &taps,
        },
        block.rows,
    );
    let (batch, channels, height, width) = geometry.result();
    let target = Target {
        batch,
        channels,
        size: (height, width),
        stride: (1, 1),
        phase: (0, 0),
        pitch: geometry.pitch,
    };
    let grid = Grid::new(&target, block.lanes);
    let sum = Sum {
        flat: &flat,
        taps: &shifts,
        pitch: geometry.pitch,
        panels: &panels,
        grid: &grid,
        epilogue,
        groups: geometry.groups,
        inputs: geometry.inputs,
        outputs: geometry.outputs,
        plane: height * width,
    };
    // SAFETY: the grid covers the whole output, which has this many elements; the layout
    // has room for the reach of the taps around every position.
    unsafe { filled(batch * channels * height * width, |out| sum.write(block, out)) }
}

/// The layout of the input.
pub(super) fn input(geometry: &Geometry) -> Source<'_> {
    Source {
        batch: geometry.batch,
        channels: geometry.groups * geometry.inputs,
        size: (geometry.y.input, geometry.x.input),
        stride: (geometry.y.stride, geometry.x.stride),
        phases: &geometry.phases,
        pitch: geometry.pitch,
        reach: geometry.reach(),
    }
}
