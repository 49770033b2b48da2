//! The gradient of the input: for each phase of the input a convolution of stride 1 of
//! the output's gradient, with the taps of that phase in the other direction.

#![expect(unsafe_code, reason = "the results are written once, by several threads")]

use super::{
    epilogue::Epilogue,
    flat::{Flat, Source},
    geometry::{Geometry, Tap},
    grid::{Grid, Target},
    kernel::Block,
    products::{Panels, Shift, Sum, Weights},
    shared::{Shared, filled},
};

/// `dx[n, c, · s + r] = sum_o sum_(k of phase r) w[o, c, k] * dy[n, o, · - q_k]`, from the
/// layout of `dy`.
pub(super) fn backward_data(geometry: &Geometry, dy: &Flat, w: &[f32]) -> Vec<f32> {
    let channels = geometry.groups * geometry.inputs;
    let len = geometry.batch * channels * geometry.input_plane();
    let phases = geometry.y.stride * geometry.x.stride;
    if geometry.phases.len() == phases {
        // SAFETY: every element belongs to a phase, whose grid covers it.
        unsafe { filled(len, |out| write(geometry, dy, w, out)) }
    } else {
        // no tap reads the other phases: their gradient is zero
        let mut dx = vec![0.0; len];
        // SAFETY: `dx` has the input's elements.
        unsafe { write(geometry, dy, w, Shared::new(dx.as_mut_ptr())) };
        dx
    }
}

/// # Safety
///
/// `out` has room for the input's gradient.
unsafe fn write(geometry: &Geometry, dy: &Flat, w: &[f32], out: Shared<'_>) {
    let block = Block::of_this_machine();
    let kernel = geometry.taps.len();
    for (index, &phase) in geometry.phases.iter().enumerate() {
        let shift = |tap: &Tap| Shift {
            offset: -tap.offset,
            rows: -tap.rows,
            height: geometry.y.output,
        };
        let (taps, shifts): (Vec<usize>, Vec<Shift>) = geometry
            .taps
            .iter()
            .enumerate()
            .filter(|(_, tap)| tap.phase == index)
            .map(|(k, tap)| (k, shift(tap)))
            .unzip();
        let panels = Panels::new(
            &Weights {
                values: w,
                groups: geometry.groups,
                rows: geometry.inputs,
                channels: geometry.outputs,
                strides: (kernel, geometry.inputs * kernel),
                taps: &taps,
            },
            block.rows,
        );
        let target = Target {
            batch: geometry.batch,
            channels: geometry.groups * geometry.inputs,
            size: (geometry.y.input, geometry.x.input),
            stride: (geometry.y.stride, geometry.x.stride),
            phase,
            pitch: geometry.pitch,
        };
        let grid = Grid::new(&target, block.lanes);
        if grid.len() == 0 {
            continue;
        }
        let sum = Sum {
            flat: dy,
            taps: &shifts,
            pitch: geometry.pitch,
            panels: &panels,
            grid: &grid,
            epilogue: Epilogue::NONE,
            groups: geometry.groups,
            inputs: geometry.outputs,
            outputs: geometry.inputs,
            plane: geometry.input_plane(),
        };
        // SAFETY: `out` has room, as the caller promises; the layout has room for the
        // reach of the taps around every position.
        unsafe { sum.write(block, out) };
    }
}

/// The layout of the output's gradient.
pub(super) fn gradient(geometry: &Geometry) -> Source<'_> {
    Source {
        batch: geometry.batch,
        channels: geometry.groups * geometry.outputs,
        size: (geometry.y.output, geometry.x.output),
        stride: (1, 1),
        phases: &[(0, 0)],
        pitch: geometry.pitch,
        reach: geometry.reach(),
    }
}
