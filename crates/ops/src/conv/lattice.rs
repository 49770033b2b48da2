//! Pixels at regular distances whose results read the same taps of the kernel.
//!
//! The pixels of a result are one lattice. Those of the gradient of the input are one for each
//! place inside the stride, or inside a multiple of it: input `i` meets element `k` of the
//! kernel in output `o` where
//! `o stride = i + padding - k dilation`, and which `k` there are depends on `i mod stride`.

use core::ops::Range;

use super::geometry::{Axis, Geometry};

/// Positions, each with a pixel that is written and the pixels that are read for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lattice {
    pub(super) batch: usize,
    /// Rows and columns of positions in an image.
    pub(super) grid: (usize, usize),
    /// What is written.
    pub(super) to: Pixels,
    /// What is read.
    pub(super) from: Pixels,
    pub(super) taps: Vec<Tap>,
}

/// Which pixels of an image belong to the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pixels {
    /// Height and width of the image.
    pub(super) size: (usize, usize),
    /// The pixel of the first position.
    pub(super) first: (usize, usize),
    /// Pixels from one position to the next.
    pub(super) step: (usize, usize),
}

impl Pixels {
    /// Number of the pixel of a position among those of all images.
    pub(super) fn of(&self, position: Position) -> usize {
        let row = self.first.0 + position.row * self.step.0;
        (position.image * self.size.0 + row) * self.size.1
            + self.first.1
            + position.column * self.step.1
    }

    pub(super) fn count(&self) -> usize {
        self.size.0 * self.size.1
    }
}

/// One pixel that is read for each position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Rows and columns from the pixel of the position.
    pub(super) row: isize,
    pub(super) column: isize,
    /// Element of the kernel.
    pub(super) element: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) image: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Lattice {
    /// The results, and what they read of the input.
    pub(super) fn forward(geometry: &Geometry) -> Self {
        let Geometry { y, x, batch, .. } = *geometry;
        let taps = (0..y.kernel).flat_map(|ky| {
            (0..x.kernel).map(move |kx| Tap {
                row: y.tap(ky),
                column: x.tap(kx),
                element: ky * x.kernel + kx,
            })
        });
        let grid = (y.output, x.output);
        Self {
            batch,
            grid,
            to: Pixels { size: grid, first: (0, 0), step: (1, 1) },
            from: Pixels {
                size: (y.input, x.input),
                first: (0, 0),
                step: (y.stride, x.stride),
            },
            taps: taps.collect(),
        }
    }

    /// The inputs, and what their gradients read of the gradient of the result: a lattice for
    /// each place inside a `step`, which is a multiple of the stride.
    pub(super) fn backward(geometry: &Geometry, step: (usize, usize)) -> Vec<Self> {
        let Geometry { y, x, batch, .. } = *geometry;
        let places = |axis: Axis, step: usize| 0..step.min(axis.input);
        places(y, step.0)
            .flat_map(|row| places(x, step.1).map(move |column| (row, column)))
            .map(|(row, column)| {
                let columns = elements(x, column);
                let taps = elements(y, row).into_iter().flat_map(|(ky, row)| {
                    columns.iter().map(move |&(kx, column)| Tap {
                        row,
                        column,
                        element: ky * x.kernel + kx,
                    })
                });
                let count = |axis: Axis, first: usize, step: usize| {
                    (axis.input - first).div_ceil(step)
                };
                Self {
                    batch,
                    grid: (count(y, row, step.0), count(x, column, step.1)),
                    to: Pixels { size: (y.input, x.input), first: (row, column), step },
                    from: Pixels {
                        size: (y.output, x.output),
                        first: (0, 0),
                        step: (step.0 / y.stride, step.1 / x.stride),
                    },
                    taps: taps.collect(),
                }
            })
            .collect()
    }

    /// Positions in all images.
    pub(super) fn positions(&self) -> usize {
        self.batch * self.grid.0 * self.grid.1
    }

    /// The position of this number, row by row and image by image.
    pub(super) fn position(&self, number: usize) -> Position {
        let (rows, columns) = self.grid;
        Position {
            image: number / (rows * columns),
            row: number / columns % rows,
            column: number % columns,
        }
    }

    /// The position after this one.
    pub(super) fn next(&self, mut position: Position) -> Position {
        position.column += 1;
        if position.column == self.grid.1 {
            position.column = 0;
            position.row += 1;
        }
        if position.row == self.grid.0 {
            position.row = 0;
            position.image += 1;
        }
        position
    }

    /// Number of the pixel that a tap reads for a position, if it is inside the image.
    pub(super) fn read(&self, position: Position, tap: &Tap) -> Option<usize> {
        let Position { image, row, column } = position;
        let (height, width) = self.from.size;
        let row = (row * self.from.step.0).checked_add_signed(tap.row)?;
        let column = (column * self.from.step.1).checked_add_signed(tap.column)?;
        let inside = row < height && column < width;
        inside.then(|| (image * height + row) * width + column)
    }

    /// The columns of positions none of whose taps is left or right of the image.
    pub(super) fn inside(&self) -> Range<usize> {
        let columns = || self.taps.iter().map(|tap| tap.column);
        let step = self.from.step.1;
        let before = columns().min().unwrap_or(0).min(0).unsigned_abs();
        let after = self.from.size.1.saturating_sub_signed(columns().max().unwrap_or(0));
        let start = before.div_ceil(step);
        start..after.div_ceil(step).min(self.grid.1).max(start)
    }

    /// Whether each position reads and writes the one pixel of its number.
    pub(super) fn is_identity(&self) -> bool {
        let tap = Tap { row: 0, column: 0, element: 0 };
        self.taps == [tap] && self.to == self.from && self.grid == self.to.size
    }
}

/// The elements of the kernel that some output meets at the inputs `first`, `first + stride`
/// and so on, and that output for the first of them; in the order of these outputs.
fn elements(axis: Axis, first: usize) -> Vec<(usize, isize)> {
    let element = |k: usize| {
        let distance = first as isize - axis.tap(k);
        let stride = axis.stride as isize;
        (distance.rem_euclid(stride) == 0).then(|| (k, distance.div_euclid(stride)))
    };
    (0..axis.kernel).rev().filter_map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::Conv2d;

    /// The pairs of input and output that meet, with the element of the kernel.
    fn meetings(lattices: &[Lattice], swap: bool) -> Vec<(usize, usize, usize)> {
        let mut all = Vec::new();
        for lattice in lattices {
            for number in 0..lattice.positions() {
                let position = lattice.position(number);
                let to = lattice.to.of(position);
                for tap in &lattice.taps {
                    if let Some(from) = lattice.read(position, tap) {
                        let (a, b) = if swap { (to, from) } else { (from, to) };
                        all.push((a, b, tap.element));
                    }
                    let column = position.column * lattice.from.step.1;
                    let column = column.checked_add_signed(tap.column);
                    let inside = column.is_some_and(|column| column < lattice.from.size.1);
                    assert!(inside || !lattice.inside().contains(&position.column));
                }
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn both_ways_join_the_same_pixels() {
        for (stride, padding, dilation, kernel) in [
            ((1, 1), (1, 1), (1, 1), (3, 3)),
            ((2, 3), (0, 2), (1, 1), (3, 2)),
            ((2, 2), (3, 3), (2, 1), (3, 7)),
            ((3, 2), (0, 0), (1, 1), (1, 1)),
        ] {
            let conv = Conv2d { stride, padding, dilation, groups: 1 };
            let w = [1, 1, kernel.0, kernel.1];
            let geometry = Geometry::new(&[2, 1, 7, 8], &w, None, conv).unwrap();
            let forward = meetings(&[Lattice::forward(&geometry)], false);
            assert!(!forward.is_empty());
            for times in [1, 2] {
                let lattices =
                    Lattice::backward(&geometry, (stride.0 * times, stride.1 * times));
                assert_eq!(forward, meetings(&lattices, true), "{conv:?}");
            }
        }
    }

    #[test]
    fn every_input_is_written_once() {
        let conv = Conv2d { stride: (3, 2), ..Conv2d::default() };
        let geometry = Geometry::new(&[2, 1, 7, 8], &[1, 1, 1, 1], None, conv).unwrap();
        let mut written = vec![0; 2 * 7 * 8];
        for lattice in Lattice::backward(&geometry, conv.stride) {
            let mut position = lattice.position(0);
            for number in 0..lattice.positions() {
                assert_eq!(position, lattice.position(number));
                written[lattice.to.of(position)] += 1;
                position = lattice.next(position);
            }
        }
        assert!(written.iter().all(|&times| times == 1));
    }
}
