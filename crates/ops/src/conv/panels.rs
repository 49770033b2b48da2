//! Weights in the order in which products read them.

use super::{geometry::Geometry, kernel::Block, lattice::Lattice};
use crate::{map, turn::Matrix};

/// Panels of [`Block::columns`] neighbouring results each: `[group][panel][row][column]`,
/// with zeros behind the last result, and a row for each value of a patch.
pub(super) struct Panels {
    values: Vec<f32>,
    /// Rows of a panel.
    pub(super) depth: usize,
    /// Columns of a panel.
    pub(super) width: usize,
    /// Panels of a group.
    pub(super) count: usize,
}

impl Panels {
    /// Of `w [O, C / groups, Kh, Kw]`, for results that read the patches of `lattice`.
    pub(super) fn forward(geometry: &Geometry, lattice: &Lattice, w: &[f32]) -> Self {
        let &Geometry { inputs, outputs, groups, .. } = geometry;
        let (elements, taps) = (geometry.elements(), &lattice.taps);
        Self::new((groups, taps.len() * inputs, outputs), |group, first, columns, panel| {
            let first = group * outputs + first;
            let kernels = Matrix {
                values: &w[first * inputs * elements..],
                pitch: inputs * elements,
            };
            let width = panel.len() / (taps.len() * inputs);
            kernels.turn((columns, inputs * elements), panel, |i| {
                (i % elements * inputs + i / elements) * width
            });
        })
    }

    /// Of `w [O, C / groups, Kh, Kw]`, for the gradients of inputs that read the patches of
    /// `lattice`.
    pub(super) fn backward(geometry: &Geometry, lattice: &Lattice, w: &[f32]) -> Self {
        let &Geometry { inputs, outputs, groups, .. } = geometry;
        let (elements, taps) = (geometry.elements(), &lattice.taps);
        Self::new((groups, taps.len() * outputs, inputs), |group, first, columns, panel| {
            let width = panel.len() / (taps.len() * outputs);
            for output in 0..outputs {
                let kernels = (group * outputs + output) * inputs + first;
                let kernels = &w[kernels * elements..][..columns * elements];
                if elements == 1 {
                    panel[output * width..][..columns].copy_from_slice(kernels);
                    continue;
                }
                for (i, tap) in taps.iter().enumerate() {
                    let row = &mut panel[(i * outputs + output) * width..][..columns];
                    let of_tap = kernels[tap.element..].iter().step_by(elements);
                    row.iter_mut().zip(of_tap).for_each(|(to, from)| *to = *from);
                }
            }
        })
    }

    /// `write(group, first column, columns, panel)` for each panel of `columns` results.
    fn new(
        (groups, depth, columns): (usize, usize, usize),
        write: impl Fn(usize, usize, usize, &mut [f32]) + Sync,
    ) -> Self {
        let width = Block::of_this_machine().columns;
        let count = columns.div_ceil(width);
        let panel = depth * width;
        let values = map::planes(groups * count * panel, panel, |i, panel| {
            let first = i % count * width;
            write(i / count, first, (columns - first).min(width), panel);
        });
        Self { values, depth, width, count }
    }

    /// Some rows of a panel, from `first` on.
    pub(super) fn rows(&self, group: usize, panel: usize, first: usize) -> &[f32] {
        let panel = (group * self.count + panel) * self.depth;
        &self.values[(panel + first) * self.width..(panel + self.depth) * self.width]
    }
}
