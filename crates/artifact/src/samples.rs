use std::{path::Path, sync::Arc};

use arrow::{
    array::StringArray,
    datatypes::{DataType, Int32Type, UInt8Type, UInt32Type},
};

use crate::{
    Provenance, Result,
    table::{self, Column, numbers, optional_numbers},
};

/// Where each sample of the packs comes from, `samples.parquet`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// utf8: the pack it is in, such as `train`.
    pub split: Vec<String>,
    /// u32: its row there.
    pub sample: Vec<u32>,
    /// utf8: its name in the original data set.
    pub source: Vec<String>,
    /// i32?: its class; null if it may have several.
    pub label: Vec<Option<i32>>,
    /// utf8: the name of its class or classes.
    pub class: Vec<String>,
    /// u8?: 1 if it belongs to the biased majority.
    pub group: Vec<Option<u8>>,
}

impl Samples {
    /// Reads the table at `path`.
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut rows = Self::default();
        let provenance = table::read(path, "samples", COLUMNS, |batch| {
            rows.split.extend(batch.texts("split").flatten());
            rows.sample.extend(batch.values::<UInt32Type>("sample"));
            rows.source.extend(batch.texts("source").flatten());
            rows.label.extend(batch.options::<Int32Type>("label"));
            rows.class.extend(batch.texts("class").flatten());
            rows.group.extend(batch.options::<UInt8Type>("group"));
        })?;
        Ok((rows, provenance))
    }

    /// Writes the table to `path`, atomically.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let columns = vec![
            ("split", Arc::new(StringArray::from_iter_values(&self.split)) as _, false),
            ("sample", numbers::<UInt32Type>(&self.sample), false),
            ("source", Arc::new(StringArray::from_iter_values(&self.source)) as _, false),
            ("label", optional_numbers::<Int32Type>(&self.label), true),
            ("class", Arc::new(StringArray::from_iter_values(&self.class)) as _, false),
            ("group", optional_numbers::<UInt8Type>(&self.group), true),
        ];
        table::write(path, provenance, columns)
    }
}

const COLUMNS: &[Column] = &[
    Column::new("split", DataType::Utf8),
    Column::new("sample", DataType::UInt32),
    Column::new("source", DataType::Utf8),
    Column::nullable("label", DataType::Int32),
    Column::new("class", DataType::Utf8),
    Column::nullable("group", DataType::UInt8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples.parquet");
        let samples = Samples {
            split: vec!["train".into(), "test".into()],
            sample: vec![0, 0],
            source: vec!["2007_000027".into(), "2007_000032".into()],
            label: vec![Some(1), None],
            class: vec!["cat".into(), "cat, dog".into()],
            group: vec![None, Some(1)],
        };
        samples.write(&path, &Provenance::default())?;
        assert_eq!(Samples::read(&path)?.0, samples);
        Ok(())
    }
}
