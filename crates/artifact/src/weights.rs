use std::{path::Path, sync::Arc};

use arrow::{
    array::BooleanArray,
    datatypes::{DataType, Float32Type, Int32Type, UInt32Type},
};

use crate::{
    Error, Provenance, Result,
    maps::check_unique,
    table::{self, Column, numbers, optional_numbers},
};

/// What each sample counts for in the next round, `weights.parquet`: one row a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// u32: the row in the pack.
    pub sample: Vec<u32>,
    /// f32: its weight v, Eq. (4); finite, not negative.
    pub weight: Vec<f32>,
    /// bool: whether it is trained on at all; a foreign table may lack it: all are.
    pub selected: Vec<bool>,
    /// i32?: a class to train it towards instead of its label; a foreign table may lack it.
    pub pseudo_label: Vec<Option<i32>>,
}

impl Weights {
    /// N, the number of rows.
    pub fn len(&self) -> usize {
        self.sample.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sample.is_empty()
    }

    /// Reads the table at `path`.
    ///
    /// # Errors
    ///
    /// If a column is absent or of another type, a sample occurs twice, or a weight is
    /// negative or not finite.
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut weights = Self::default();
        let provenance = table::read(path, "weights", COLUMNS, |batch| {
            weights.sample.extend(batch.values::<UInt32Type>("sample"));
            weights.weight.extend(batch.values::<Float32Type>("weight"));
            if batch.has("selected") {
                weights.selected.extend(batch.booleans("selected"));
            } else {
                weights.selected.resize(weights.selected.len() + batch.rows(), true);
            }
            if batch.has("pseudo_label") {
                weights.pseudo_label.extend(batch.options::<Int32Type>("pseudo_label"));
            } else {
                weights
                    .pseudo_label
                    .resize(weights.pseudo_label.len() + batch.rows(), None);
            }
        })?;
        check_unique(path, &weights.sample)?;
        weights.check(path)?;
        Ok((weights, provenance))
    }

    /// Writes the table to `path`, atomically.
    ///
    /// # Errors
    ///
    /// Also if a weight is negative or not finite.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let columns = vec![
            ("sample", numbers::<UInt32Type>(&self.sample), false),
            ("weight", numbers::<Float32Type>(&self.weight), false),
            ("selected", Arc::new(BooleanArray::from(self.selected.clone())) as _, false),
            ("pseudo_label", optional_numbers::<Int32Type>(&self.pseudo_label), true),
        ];
        self.check(path)?;
        table::write(path, provenance, columns)
    }

    /// Which of a pack's images have a label that is known: those that are selected, but for
    /// the ones that are trained towards a pseudo label; in the order of the pack.
    ///
    /// # Errors
    ///
    /// If the samples of this table, which came from `path`, are not `0..images`.
    pub fn labelled(&self, path: &Path, images: usize) -> Result<Vec<bool>> {
        let mut rows = vec![None; images];
        let refuse = |found: String| {
            let path = path.to_owned();
            let expected = format!("a row for each of the {images} samples of the pack");
            Err(Error::Value { path, expected, found })
        };
        for (row, &sample) in self.sample.iter().enumerate() {
            match rows.get_mut(sample as usize) {
                Some(place) => {
                    *place = Some(self.selected[row] && self.pseudo_label[row].is_none());
                }
                None => return refuse(format!("one for sample {sample}")),
            }
        }
        match rows.iter().position(Option::is_none) {
            Some(missing) => refuse(format!("none for sample {missing}")),
            None => Ok(rows.into_iter().flatten().collect()),
        }
    }

    fn check(&self, path: &Path) -> Result<()> {
        let good = |weight: &f32| weight.is_finite() && *weight >= 0.0;
        match self.sample.iter().zip(&self.weight).find(|(_, weight)| !good(weight)) {
            None => Ok(()),
            Some((sample, weight)) => Err(Error::Value {
                path: path.to_owned(),
                expected: "finite weights of at least 0".into(),
                found: format!("{weight} at sample {sample}"),
            }),
        }
    }
}

const COLUMNS: &[Column] = &[
    Column::new("sample", DataType::UInt32),
    Column::new("weight", DataType::Float32),
    Column::new("selected", DataType::Boolean).or_absent(),
    Column::nullable("pseudo_label", DataType::Int32).or_absent(),
];

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;

    fn weights() -> Weights {
        Weights {
            sample: vec![0, 1],
            weight: vec![1.0, 0.25],
            selected: vec![true, false],
            pseudo_label: vec![None, Some(3)],
        }
    }

    /// Writes a table as others do, and reads it as weights.
    fn reading(columns: Vec<(&'static str, ArrayRef, bool)>) -> Result<Weights> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.parquet");
        table::write(&path, &Provenance::default(), columns)?;
        Ok(Weights::read(&path)?.0)
    }

    fn refusal(columns: Vec<(&'static str, ArrayRef, bool)>) -> String {
        reading(columns).unwrap_err().to_string()
    }

    fn samples(of: &[i64]) -> (&'static str, ArrayRef, bool) {
        ("sample", Arc::new(Int64Array::from(of.to_vec())), true)
    }

    fn weight(of: &[f64]) -> (&'static str, ArrayRef, bool) {
        ("weight", Arc::new(Float64Array::from(of.to_vec())), true)
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.parquet");
        weights().write(&path, &Provenance::default())?;
        assert_eq!(Weights::read(&path)?, (weights(), Some(Provenance::default())));
        Ok(())
    }

    #[test]
    fn a_pseudo_label_is_no_label() -> Result<()> {
        let path = Path::new("weights.parquet");
        let weights = Weights {
            sample: vec![3, 0, 2, 1],
            weight: vec![1.0; 4],
            selected: vec![true, false, true, false],
            pseudo_label: vec![None, None, Some(1), Some(1)],
        };
        assert_eq!(weights.labelled(path, 4)?, [false, false, false, true]);
        for (images, found) in [(3, "found one for sample 3"), (5, "none for sample 4")] {
            let error = weights.labelled(path, images).unwrap_err().to_string();
            assert!(error.contains("weights.parquet") && error.contains(found), "{error}");
        }
        Ok(())
    }

    #[test]
    fn wider_types_are_taken_and_optional_columns_may_be_absent() -> Result<()> {
        let extra: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
        let read =
            reading(vec![("note", extra, true), weight(&[1.0, 0.5]), samples(&[7, 3])])?;
        let expected = Weights {
            sample: vec![7, 3],
            weight: vec![1.0, 0.5],
            selected: vec![true; 2],
            pseudo_label: vec![None; 2],
        };
        assert_eq!(read, expected);
        Ok(())
    }

    #[test]
    fn integers_may_come_as_floats_with_nulls_but_not_as_fractions() -> Result<()> {
        let pseudo = |value| -> (_, ArrayRef, _) {
            ("pseudo_label", Arc::new(Float64Array::from(vec![None, Some(value)])), true)
        };
        let read = reading(vec![samples(&[0, 1]), weight(&[1.0, 1.0]), pseudo(2.0)])?;
        assert_eq!(read.pseudo_label, [None, Some(2)]);
        let error = refusal(vec![samples(&[0, 1]), weight(&[1.0, 1.0]), pseudo(2.5)]);
        assert!(error.contains("pseudo_label Int32?") && error.contains("2.5"), "{error}");
        Ok(())
    }

    #[test]
    fn a_weight_that_is_none_names_its_sample() {
        for bad in [f64::NAN, -0.5, f64::INFINITY, 1e300] {
            let error = refusal(vec![samples(&[8, 9]), weight(&[1.0, bad])]);
            assert!(error.contains("at sample 9"), "{error}");
        }
    }

    #[test]
    fn a_sample_twice_below_zero_or_null_is_refused() {
        let error = refusal(vec![samples(&[8, 8]), weight(&[1.0, 1.0])]);
        assert!(error.contains("sample 8 twice"), "{error}");
        let error = refusal(vec![samples(&[8, -1]), weight(&[1.0, 1.0])]);
        assert!(error.contains("sample UInt32") && error.contains("-1"), "{error}");
        let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(8), None]));
        let error = refusal(vec![("sample", null, true), weight(&[1.0, 1.0])]);
        assert!(error.contains("a null in row 1"), "{error}");
    }

    #[test]
    fn a_table_of_something_else_is_refused_with_both_lists_of_columns() {
        let error = refusal(vec![samples(&[0])]);
        for part in ["table of weights", "weight Float32", "found columns sample Int64"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
