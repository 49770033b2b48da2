use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, StringArray},
    datatypes::{DataType, Float64Type, UInt32Type},
};

use crate::{
    Provenance, Result,
    table::{self, Column, numbers, optional_numbers},
};

/// Methods over seeds, `comparison.parquet`: one row a setting, method and measure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// utf8: what all methods of a comparison share, such as the network.
    pub setting: Vec<String>,
    /// utf8: the method.
    pub method: Vec<String>,
    /// utf8: the measure.
    pub measure: Vec<String>,
    /// u32: n, the number of seeds.
    pub seeds: Vec<u32>,
    /// f64: the mean over the seeds.
    pub mean: Vec<f64>,
    /// f64?: the standard deviation over the seeds (n − 1), if there are two.
    pub deviation: Vec<Option<f64>>,
    /// f64?: the mean of the differences to the baseline of the same seed.
    pub difference: Vec<Option<f64>>,
    /// f64?: the standard deviation of these (n − 1).
    pub difference_deviation: Vec<Option<f64>>,
    /// f64?: how probable a mean so far from 0 is if there is no difference, by Student's
    /// t-test of pairs, two-sided.
    pub probability: Vec<Option<f64>>,
}

impl Comparison {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.setting.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.setting.is_empty()
    }

    /// Reads the table at `path`.
    ///
    /// # Errors
    ///
    /// If a column is absent or of another type.
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut rows = Self::default();
        let provenance = table::read(path, "a comparison", COLUMNS, |batch| {
            rows.setting.extend(batch.texts("setting").flatten());
            rows.method.extend(batch.texts("method").flatten());
            rows.measure.extend(batch.texts("measure").flatten());
            rows.seeds.extend(batch.values::<UInt32Type>("seeds"));
            rows.mean.extend(batch.values::<Float64Type>("mean"));
            rows.deviation.extend(batch.options::<Float64Type>("deviation"));
            rows.difference.extend(batch.options::<Float64Type>("difference"));
            rows.difference_deviation
                .extend(batch.options::<Float64Type>("difference_deviation"));
            rows.probability.extend(batch.options::<Float64Type>("probability"));
        })?;
        Ok((rows, provenance))
    }

    /// Writes the table to `path`, atomically.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let texts = |texts: &[String]| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(texts))
        };
        let columns = vec![
            ("setting", texts(&self.setting), false),
            ("method", texts(&self.method), false),
            ("measure", texts(&self.measure), false),
            ("seeds", numbers::<UInt32Type>(&self.seeds), false),
            ("mean", numbers::<Float64Type>(&self.mean), false),
            ("deviation", optional_numbers::<Float64Type>(&self.deviation), true),
            ("difference", optional_numbers::<Float64Type>(&self.difference), true),
            (
                "difference_deviation",
                optional_numbers::<Float64Type>(&self.difference_deviation),
                true,
            ),
            ("probability", optional_numbers::<Float64Type>(&self.probability), true),
        ];
        table::write(path, provenance, columns)
    }
}

const COLUMNS: &[Column] = &[
    Column::new("setting", DataType::Utf8),
    Column::new("method", DataType::Utf8),
    Column::new("measure", DataType::Utf8),
    Column::new("seeds", DataType::UInt32),
    Column::new("mean", DataType::Float64),
    Column::nullable("deviation", DataType::Float64),
    Column::nullable("difference", DataType::Float64),
    Column::nullable("difference_deviation", DataType::Float64),
    Column::nullable("probability", DataType::Float64),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("comparison.parquet");
        let rows = Comparison {
            setting: vec!["resnet18".into(); 2],
            method: vec!["baseline".into(), "ours".into()],
            measure: vec!["accuracy".into(); 2],
            seeds: vec![1, 3],
            mean: vec![0.5, 0.625],
            deviation: vec![None, Some(0.125)],
            difference: vec![None, Some(0.125)],
            difference_deviation: vec![None, Some(0.0625)],
            probability: vec![None, Some(0.25)],
        };
        rows.write(&path, &Provenance::default())?;
        assert_eq!(Comparison::read(&path)?, (rows, Some(Provenance::default())));
        Ok(())
    }
}
