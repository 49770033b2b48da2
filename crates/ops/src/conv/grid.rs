//! Where the results of a flat position belong in the output.

use super::geometry::Pitch;

/// A stretch of lanes whose results are neighbours in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First lane of the vector.
    pub(super) lane: usize,
    pub(super) len: usize,
    /// Index of the first result in channel 0.
    pub(super) to: usize,
}

/// One vector of positions.
#[derive(Clone, Copy, Debug)]
struct Vector {
    start: usize,
    /// Its runs in [`Grid::runs`].
    first: usize,
    end: usize,
}

/// The output's planes: those of a phase take every `stride`-th element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) batch: usize,
    pub(super) channels: usize,
    /// Height and width of the output.
    pub(super) size: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) phase: (usize, usize),
    pub(super) pitch: Pitch,
}

/// Vectors that together cover every result, and their runs.
///
/// A vector begins at the first position that the one before leaves over; positions
/// between the rows are computed where a vector meets them, and not stored.
#[derive(Debug, Default)]
pub(super) struct Grid {
    vectors: Vec<Vector>,
    runs: Vec<Run>,
    /// Distance in the output of two lanes of a run.
    pub(super) step: usize,
}

impl Grid {
    /// Covers the positions of `target` with vectors of `lanes` lanes.
    pub(super) fn new(target: &Target, lanes: usize) -> Self {
        let (height, width) = target.size;
        let plane = height * width;
        if target.pitch.is_interleaved() {
            let mut grid = Self { step: target.channels * plane, ..Self::default() };
            for (j, y) in (target.phase.0..height).step_by(target.stride.0).enumerate() {
                for (i, x) in (target.phase.1..width).step_by(target.stride.1).enumerate() {
                    let position = j * target.pitch.row + i * target.pitch.pixel;
                    grid.cover(position, target.batch, y * width + x, lanes);
                }
            }
            return grid;
        }
        let mut grid = Self { step: target.stride.1, ..Self::default() };
        let valid = width.saturating_sub(target.phase.1).div_ceil(target.stride.1);
        for n in 0..target.batch {
            for (j, y) in (target.phase.0..height).step_by(target.stride.0).enumerate() {
                let position = n * target.pitch.image + j * target.pitch.row;
                let to = n * target.channels * plane + y * width + target.phase.1;
                grid.cover(position, valid, to, lanes);
            }
        }
        grid
    }

    /// Appends the results of a row of `len` positions.
    fn cover(&mut self, mut position: usize, mut len: usize, mut to: usize, lanes: usize) {
        while len > 0 {
            let free = match self.vectors.last_mut() {
                Some(vector) if position < vector.start + lanes => vector,
                _ => {
                    let first = self.runs.len();
                    self.vectors.push(Vector { start: position, first, end: first });
                    continue;
                }
            };
            let lane = position - free.start;
            let taken = len.min(lanes - lane);
            self.runs.push(Run { lane, len: taken, to });
            free.end += 1;
            position += taken;
            to += taken * self.step;
            len -= taken;
        }
    }

    /// Number of vectors.
    pub(super) fn len(&self) -> usize {
        self.vectors.len()
    }

    /// First position of vector `index`; of the last one, where there are fewer.
    pub(super) fn start(&self, index: usize) -> usize {
        self.vectors[index.min(self.vectors.len() - 1)].start
    }

    /// Where the results of vector `index` belong.
    pub(super) fn runs(&self, index: usize) -> &[Run] {
        let Some(vector) = self.vectors.get(index) else { return &[] };
        &self.runs[vector.first..vector.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_cover_each_result_once_and_skip_what_lies_between_rows() {
        let target = Target {
            batch: 1,
            channels: 1,
            size: (2, 3),
            stride: (1, 1),
            phase: (0, 0),
            pitch: Pitch { image: 12, row: 4, pixel: 1, total: 12 },
        };
        let grid = Grid::new(&target, 4);
        assert_eq!(grid.len(), 2);
        assert_eq!((grid.start(0), grid.start(1)), (0, 4));
        assert_eq!(grid.runs(0), [Run { lane: 0, len: 3, to: 0 }]);
        assert_eq!(grid.runs(1), [Run { lane: 0, len: 3, to: 3 }]);

        let wide = Grid::new(&target, 16);
        assert_eq!(wide.len(), 1);
        assert_eq!(
            wide.runs(0),
            [Run { lane: 0, len: 3, to: 0 }, Run { lane: 4, len: 3, to: 3 }]
        );
    }
}
