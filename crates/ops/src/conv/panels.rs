//! Weights in the order in which products read them.

use super::{geometry::Geometry, kernel::Block, lattice::Lattice, scratch::Scratch};
use crate::{
    shared::chunks_mut,
    simd::{LINE, prefetch},
    turn::Matrix,
};

/// Outputs whose weights are asked for before they are read.
const AHEAD: usize = 8;

/// The weights of a convolution as a matrix a group: a row for each value of a patch, a column
/// for each channel that is written.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) geometry: &'a Geometry,
    /// Whose patches are read.
    pub(super) lattice: &'a Lattice,
    /// `[O, C / groups, Kh, Kw]`
    pub(super) w: &'a [f32],
    /// By what those of each output are multiplied, on the way back.
    pub(super) scale: Option<&'a [f32]>,
    /// Whether the patches are of the result's gradient.
    pub(super) backward: bool,
}

impl Weights<'_> {
    /// Channels of a group that are read, and that are written.
    pub(super) fn channels(&self) -> (usize, usize) {
        let &Geometry { inputs, outputs, .. } = self.geometry;
        if self.backward { (outputs, inputs) } else { (inputs, outputs) }
    }

    /// Rows of a matrix.
    pub(super) fn depth(&self) -> usize {
        self.lattice.taps.len() * self.channels().0
    }

    /// Panels of a group, of [`Block::columns`] columns each.
    pub(super) fn panels(&self) -> usize {
        self.channels().1.div_ceil(Block::of_this_machine().columns)
    }

    /// Writes the columns of a panel, `[row][column]`; behind the last of a group stays what was.
    pub(super) fn write(&self, group: usize, panel: usize, out: &mut [f32]) {
        let width = Block::of_this_machine().columns;
        let first = panel * width;
        let columns = (self.channels().1 - first).min(width);
        let &Geometry { inputs, outputs, .. } = self.geometry;
        let elements = self.geometry.elements();
        if !self.backward {
            let first = (group * outputs + first) * inputs * elements;
            let kernels = Matrix { values: &self.w[first..], pitch: inputs * elements };
            let place = |i: usize| (i % elements * inputs + i / elements) * width;
            let places: Vec<usize> = (0..inputs * elements).map(place).collect();
            kernels.turn(columns, &places, out);
            return;
        }
        for output in 0..outputs {
            let scale = self.scale.map_or(1.0, |scale| scale[group * outputs + output]);
            let kernels = (group * outputs + output) * inputs + first;
            let kernels = &self.w[kernels * elements..][..columns * elements];
            // far apart, and soon read
            let ahead = AHEAD * inputs * elements;
            for line in (0..kernels.len()).step_by(LINE) {
                prefetch(kernels.as_ptr().wrapping_add(ahead + line));
            }
            for (i, tap) in self.lattice.taps.iter().enumerate() {
                let row = &mut out[(i * outputs + output) * width..][..columns];
                if elements == 1 {
                    row.iter_mut().zip(kernels).for_each(|(to, from)| *to = scale * from);
                } else {
                    let of_tap = kernels[tap.element..].iter().step_by(elements);
                    row.iter_mut().zip(of_tap).for_each(|(to, from)| *to = scale * from);
                }
            }
        }
    }

    /// All panels of a group, one after the other.
    pub(super) fn packed(&self, group: usize) -> Scratch {
        let size = self.depth() * Block::of_this_machine().columns;
        let mut packed = Scratch::new(self.panels() * size);
        chunks_mut(&mut packed, size, |panel, out| {
            self.write(group, panel, out);
        });
        packed
    }
}
