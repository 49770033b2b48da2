use std::path::Path;

use arrow::datatypes::{DataType, Float64Type, UInt32Type, UInt64Type};

use crate::{
    Provenance, Result,
    table::{self, Column, numbers},
};

/// How training went, `training.parquet`: one row an epoch. Its timings make it the one
/// artefact that equal inputs do not make equal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training {
    /// u32: the round, from 1.
    pub round: Vec<u32>,
    /// u32: the epoch, counted over all rounds.
    pub epoch: Vec<u32>,
    /// u64: optimiser steps so far.
    pub step: Vec<u64>,
    /// f64: the learning rate of the epoch.
    pub learning_rate: Vec<f64>,
    /// f64: the mean loss.
    pub loss: Vec<f64>,
    /// f64: the accuracy on the images as augmented.
    pub accuracy: Vec<f64>,
    /// f64: images per second.
    pub images_per_second: Vec<f64>,
    /// f64: seconds the epoch took.
    pub seconds: Vec<f64>,
}

impl Training {
    /// Reads the table at `path`.
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut rows = Self::default();
        let provenance = table::read(path, "training", COLUMNS, |batch| {
            rows.round.extend(batch.values::<UInt32Type>("round"));
            rows.epoch.extend(batch.values::<UInt32Type>("epoch"));
            rows.step.extend(batch.values::<UInt64Type>("step"));
            rows.learning_rate.extend(batch.values::<Float64Type>("learning_rate"));
            rows.loss.extend(batch.values::<Float64Type>("loss"));
            rows.accuracy.extend(batch.values::<Float64Type>("accuracy"));
            rows.images_per_second.extend(batch.values::<Float64Type>("images_per_second"));
            rows.seconds.extend(batch.values::<Float64Type>("seconds"));
        })?;
        Ok((rows, provenance))
    }

    /// Writes the table to `path`, atomically.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let columns = vec![
            ("round", numbers::<UInt32Type>(&self.round), false),
            ("epoch", numbers::<UInt32Type>(&self.epoch), false),
            ("step", numbers::<UInt64Type>(&self.step), false),
            ("learning_rate", numbers::<Float64Type>(&self.learning_rate), false),
            ("loss", numbers::<Float64Type>(&self.loss), false),
            ("accuracy", numbers::<Float64Type>(&self.accuracy), false),
            ("images_per_second", numbers::<Float64Type>(&self.images_per_second), false),
            ("seconds", numbers::<Float64Type>(&self.seconds), false),
        ];
        table::write(path, provenance, columns)
    }
}

const COLUMNS: &[Column] = &[
    Column::new("round", DataType::UInt32),
    Column::new("epoch", DataType::UInt32),
    Column::new("step", DataType::UInt64),
    Column::new("learning_rate", DataType::Float64),
    Column::new("loss", DataType::Float64),
    Column::new("accuracy", DataType::Float64),
    Column::new("images_per_second", DataType::Float64),
    Column::new("seconds", DataType::Float64),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("training.parquet");
        let training = Training {
            round: vec![1],
            epoch: vec![4],
            step: vec![100],
            learning_rate: vec![1e-4],
            loss: vec![0.5],
            accuracy: vec![0.75],
            images_per_second: vec![10.0],
            seconds: vec![3.5],
        };
        training.write(&path, &Provenance::default())?;
        assert_eq!(Training::read(&path)?.0, training);
        Ok(())
    }
}
