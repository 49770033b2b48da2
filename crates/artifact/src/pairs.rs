use std::{path::Path, sync::Arc};

use arrow::{
    array::StringArray,
    datatypes::{DataType, UInt32Type, UInt64Type},
};

use crate::{
    Provenance, Result,
    table::{self, Column, numbers},
};

/// How a map lies over a mask: one row an image and class present in it; areas in pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// u32: the row in the pack.
    pub sample: Vec<u32>,
    /// utf8: the class's name.
    pub class: Vec<String>,
    /// u64: the pixels in both map and mask.
    pub intersection: Vec<u64>,
    /// u64: the pixels in either.
    pub union: Vec<u64>,
    /// u64: the pixels of the map, where it exceeds one half.
    pub map_area: Vec<u64>,
    /// u64: the pixels of the mask.
    pub mask_area: Vec<u64>,
}

impl Pairs {
    /// Reads the table at `path`.
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut rows = Self::default();
        let provenance = table::read(path, "pairs", COLUMNS, |batch| {
            rows.sample.extend(batch.values::<UInt32Type>("sample"));
            rows.class.extend(batch.texts("class").flatten());
            rows.intersection.extend(batch.values::<UInt64Type>("intersection"));
            rows.union.extend(batch.values::<UInt64Type>("union"));
            rows.map_area.extend(batch.values::<UInt64Type>("map_area"));
            rows.mask_area.extend(batch.values::<UInt64Type>("mask_area"));
        })?;
        Ok((rows, provenance))
    }

    /// Writes the table to `path`, atomically.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let columns = vec![
            ("sample", numbers::<UInt32Type>(&self.sample), false),
            ("class", Arc::new(StringArray::from_iter_values(&self.class)) as _, false),
            ("intersection", numbers::<UInt64Type>(&self.intersection), false),
            ("union", numbers::<UInt64Type>(&self.union), false),
            ("map_area", numbers::<UInt64Type>(&self.map_area), false),
            ("mask_area", numbers::<UInt64Type>(&self.mask_area), false),
        ];
        table::write(path, provenance, columns)
    }
}

const COLUMNS: &[Column] = &[
    Column::new("sample", DataType::UInt32),
    Column::new("class", DataType::Utf8),
    Column::new("intersection", DataType::UInt64),
    Column::new("union", DataType::UInt64),
    Column::new("map_area", DataType::UInt64),
    Column::new("mask_area", DataType::UInt64),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.parquet");
        let pairs = Pairs {
            sample: vec![0, 0],
            class: vec!["cat".into(), "dog".into()],
            intersection: vec![1, 0],
            union: vec![4, 3],
            map_area: vec![2, 2],
            mask_area: vec![3, 1],
        };
        pairs.write(&path, &Provenance::default())?;
        assert_eq!(Pairs::read(&path)?.0, pairs);
        Ok(())
    }
}
