//! Matrices turned round, so that what was a column is a row.

use crate::simd::{LINE, prefetch};

/// Rows of values, `pitch` elements from one to the next.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) pitch: usize,
}

/// Rows and columns of a block that is turned in registers.
const BLOCK: usize = 4;

impl Matrix<'_> {
    /// Writes the first `rows` values of each column to its place, for as many columns as there
    /// are places.
    pub(crate) fn turn(self, rows: usize, places: &[usize], to: &mut [f32]) {
        let (blocks, rest) = places.as_chunks::<BLOCK>();
        let whole = rows - rows % BLOCK;
        // some rows from front to back: memory that is far away is read in its order
        for row in (0..whole).step_by(BLOCK) {
            for (i, places) in blocks.iter().enumerate() {
                if i.is_multiple_of(LINE / BLOCK) {
                    // of the next rows, which may be far away
                    for k in BLOCK..2 * BLOCK {
                        let at = (row + k) * self.pitch + i * BLOCK;
                        prefetch(self.values.as_ptr().wrapping_add(at));
                    }
                }
                let block: [[f32; BLOCK]; BLOCK] = core::array::from_fn(|k| {
                    let at = (row + k) * self.pitch + i * BLOCK;
                    *self.values[at..]
                        .first_chunk()
                        .expect("a row has a value for each place")
                });
                for (j, place) in places.iter().enumerate() {
                    let values: [f32; BLOCK] = core::array::from_fn(|k| block[k][j]);
                    to[place + row..][..BLOCK].copy_from_slice(&values);
                }
            }
        }
        let mut copy = |row: usize, column: usize| {
            to[places[column] + row] = self.values[row * self.pitch + column];
        };
        let done = places.len() - rest.len();
        for row in 0..rows {
            let done = if row < whole { done } else { 0 };
            (done..places.len()).for_each(|column| copy(row, column));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_finds_its_place() {
        for (rows, columns) in [(1, 1), (3, 5), (4, 4), (8, 9), (13, 6)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let mut turned = vec![-1.0; rows * columns];
            let matrix = Matrix { values: &values, pitch: columns };
            let places: Vec<usize> = (0..columns).map(|column| column * rows).collect();
            matrix.turn(rows, &places, &mut turned);
            for (i, value) in turned.iter().enumerate() {
                assert_eq!(
                    *value,
                    values[i % rows * columns + i / rows],
                    "{rows} {columns}"
                );
            }
        }
    }
}
