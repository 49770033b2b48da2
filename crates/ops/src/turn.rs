//! Matrices turned round, so that what was a column is a row.

/// Rows of values, `pitch` elements from one to the next.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) pitch: usize,
}

/// Rows and columns of a block that is turned in registers.
const BLOCK: usize = 4;

impl Matrix<'_> {
    /// Writes each of the first `columns` columns, of `rows` values, to where `place` says.
    pub(crate) fn turn(
        self,
        (rows, columns): (usize, usize),
        to: &mut [f32],
        place: impl Fn(usize) -> usize,
    ) {
        let (whole_rows, whole_columns) = (rows - rows % BLOCK, columns - columns % BLOCK);
        for column in (0..whole_columns).step_by(BLOCK) {
            for row in (0..whole_rows).step_by(BLOCK) {
                let block: [[f32; BLOCK]; BLOCK] = core::array::from_fn(|i| {
                    let at = (row + i) * self.pitch + column;
                    *self.values[at..].first_chunk().expect("inside, by the bounds above")
                });
                for j in 0..BLOCK {
                    let values: [f32; BLOCK] = core::array::from_fn(|i| block[i][j]);
                    to[place(column + j) + row..][..BLOCK].copy_from_slice(&values);
                }
            }
        }
        let mut copy = |row: usize, column: usize| {
            to[place(column) + row] = self.values[row * self.pitch + column];
        };
        for column in 0..columns {
            let done = if column < whole_columns { whole_rows } else { 0 };
            (done..rows).for_each(|row| copy(row, column));
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
            matrix.turn((rows, columns), &mut turned, |column| column * rows);
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
