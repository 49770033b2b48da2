//! The gradient of an input of few channels, such as an image.
//!
//! Its columns would fill a fraction of a vector. The pixels of 2 x 2 are taken as columns
//! too: they read much the same taps, and each has zeros for the taps of the others. Where a
//! gradient is infinite, those of pixels beside it may be NaN.

#![expect(unsafe_code, reason = "the results are written once, by several threads")]

use super::{
    geometry::Geometry,
    kernel::{Block, PITCH, Product, Rows, multiply},
    lattice::{Lattice, Tap},
    patch::Patches,
    product::{POSITIONS, parts},
    scratch::Scratch,
};
use crate::{
    shared::{Shared, filled},
    threads,
};

/// Pixels from a block to the next.
const STEP: usize = 2;
/// Channels of which four pixels have a vector's.
const CHANNELS: usize = 4;
/// Columns that are computed: a vector, and the half of a panel.
const COLUMNS: usize = STEP * STEP * CHANNELS;

/// Whether this file's way is the one for `geometry`.
pub(super) fn is_worthwhile(geometry: &Geometry) -> bool {
    let fits = |stride: usize| STEP.is_multiple_of(stride);
    geometry.groups == 1
        && geometry.inputs <= CHANNELS
        && geometry.elements() > 1
        && fits(geometry.y.stride)
        && fits(geometry.x.stride)
}

/// `dx[n, c, · s + k d - p] += scale[o] * w[o, c, k] * dy[n, o]`.
pub(super) fn backward_data(
    geometry: &Geometry,
    dy: &[f32],
    (w, scale): (&[f32], Option<&[f32]>),
) -> Vec<f32> {
    let (batch, channels, height, width) = geometry.input();
    let lattices = Lattice::backward(geometry, (STEP, STEP));
    // the first has the pixel in a corner of each block, and so one for every block
    let together = Lattice { taps: all_taps(&lattices), ..lattices[0].clone() };
    let weights = weights(geometry, &lattices, &together.taps, (w, scale));
    let outputs = geometry.outputs;
    let patches = Patches::new(&together, dy, (outputs, outputs, 0));
    let (positions, depth) = (together.positions(), together.taps.len() * outputs);
    let panel = Block::of_this_machine().columns;
    let fill = |out: Shared<'_>| {
        threads::each(positions.div_ceil(POSITIONS), |task| {
            let blocks = task * POSITIONS..((task + 1) * POSITIONS).min(positions);
            let places: Vec<usize> = (0..blocks.len()).map(|i| i * COLUMNS).collect();
            let mut gathered = Scratch::new(POSITIONS * PITCH);
            let mut sums = Scratch::new(POSITIONS * COLUMNS);
            for part in parts(depth) {
                patches.gather(blocks.clone(), part.clone(), &mut gathered, PITCH);
                for column in (0..COLUMNS).step_by(panel) {
                    // SAFETY: there are rows for whole register blocks of positions, weights
                    // for whole panels, and room for the sums of each position.
                    unsafe {
                        multiply(Product {
                            rows: gathered.as_ptr(),
                            lie: Rows::Gathered,
                            panel: weights[part.start * COLUMNS..].as_ptr().add(column),
                            panel_pitch: COLUMNS,
                            depth: part.len(),
                            out: sums.as_mut_ptr().add(column),
                            places: &places,
                            columns: (COLUMNS - column).min(panel),
                            adds: part.start > 0,
                            epilogue: None,
                        });
                    }
                }
            }
            for (number, sums) in blocks.zip(sums.chunks_exact(COLUMNS)) {
                let block = together.position(number);
                for (lattice, sums) in lattices.iter().zip(sums.chunks_exact(CHANNELS)) {
                    if block.row < lattice.grid.0 && block.column < lattice.grid.1 {
                        let place = lattice.to.of(block) * channels;
                        for (i, sum) in sums[..channels].iter().enumerate() {
                            // SAFETY: each pixel belongs to one block and one lattice.
                            unsafe { out.pointer(place + i).write(*sum) };
                        }
                    }
                }
            }
        });
    };
    // SAFETY: every pixel of the input belongs to a block and a lattice.
    unsafe { filled(batch * channels * height * width, fill) }
}

/// Where any of the lattices reads, in the order of rows and columns.
fn all_taps(lattices: &[Lattice]) -> Vec<Tap> {
    let taps = lattices.iter().flat_map(|lattice| &lattice.taps);
    let mut taps: Vec<Tap> = taps.map(|tap| Tap { element: 0, ..*tap }).collect();
    taps.sort_unstable_by_key(|tap| (tap.row, tap.column));
    taps.dedup();
    taps
}

/// `[tap][output][lattice][channel]`, with zeros where a lattice does not have the tap.
fn weights(
    geometry: &Geometry,
    lattices: &[Lattice],
    taps: &[Tap],
    (w, scale): (&[f32], Option<&[f32]>),
) -> Vec<f32> {
    let (elements, inputs) = (geometry.elements(), geometry.inputs);
    let rows = taps.len() * geometry.outputs;
    // whole panels, also behind the last row
    let mut weights = vec![0.0; rows * COLUMNS + Block::of_this_machine().columns];
    for (i, tap) in taps.iter().enumerate() {
        for (l, lattice) in lattices.iter().enumerate() {
            let same = |own: &&Tap| (own.row, own.column) == (tap.row, tap.column);
            let Some(own) = lattice.taps.iter().find(same) else { continue };
            for output in 0..geometry.outputs {
                let row = &mut weights[(i * geometry.outputs + output) * COLUMNS..];
                let scale = scale.map_or(1.0, |scale| scale[output]);
                for input in 0..inputs {
                    row[l * CHANNELS + input] =
                        scale * w[(output * inputs + input) * elements + own.element];
                }
            }
        }
    }
    weights
}
