use std::{path::Path, sync::Arc};

use arrow::{
    array::BooleanArray,
    datatypes::{DataType, Float32Type, Int32Type, UInt8Type, UInt32Type},
};

use crate::{
    Error, Provenance, Result,
    maps::check_unique,
    table::{self, Column, numbers, optional_numbers},
};

/// How consistent the explanations are, `scores.parquet`: one row a sample.
///
/// A null (?) means that there were no perturbed maps, that the sample is misclassified, or
/// that a map's status is not ok. With several labels an image, `label` and `predicted` are
/// the label of highest confidence, `correct` says whether the image has it, and `loss` and
/// `entropy` are means over the classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// u32: the row in the pack.
    pub sample: Vec<u32>,
    /// i32: the true class.
    pub label: Vec<i32>,
    /// i32: the class predicted.
    pub predicted: Vec<i32>,
    /// i32?: the class predicted of the perturbed image.
    pub predicted_perturbed: Vec<Option<i32>>,
    /// bool: whether the prediction is right.
    pub correct: Vec<bool>,
    /// f32: the loss.
    pub loss: Vec<f32>,
    /// f32: the probability of the label.
    pub confidence: Vec<f32>,
    /// f32: the entropy of the prediction.
    pub entropy: Vec<f32>,
    /// f32?: the squared distance of the two maps, Eq. (3).
    pub distance: Vec<Option<f32>>,
    /// f32?: the inconsistency D, Eq. (3).
    pub inconsistency: Vec<Option<f32>>,
    /// f32?: the consistency E, Eq. (2).
    pub consistency: Vec<Option<f32>>,
    /// u8: 0 ok; else the status of the map that is not.
    pub status: Vec<u8>,
}

impl Scores {
    /// N, the number of rows.
    pub fn len(&self) -> usize {
        self.sample.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sample.is_empty()
    }

    /// Adds the rows of another table below its own.
    pub fn append(&mut self, more: Self) {
        self.sample.extend(more.sample);
        self.label.extend(more.label);
        self.predicted.extend(more.predicted);
        self.predicted_perturbed.extend(more.predicted_perturbed);
        self.correct.extend(more.correct);
        self.loss.extend(more.loss);
        self.confidence.extend(more.confidence);
        self.entropy.extend(more.entropy);
        self.distance.extend(more.distance);
        self.inconsistency.extend(more.inconsistency);
        self.consistency.extend(more.consistency);
        self.status.extend(more.status);
    }

    /// Reads the table at `path`.
    ///
    /// # Errors
    ///
    /// If a column is absent or of another type, a sample occurs twice, or D or E is outside
    /// \[0, 1\].
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut scores = Self::default();
        let provenance = table::read(path, "scores", COLUMNS, |batch| {
            scores.sample.extend(batch.values::<UInt32Type>("sample"));
            scores.label.extend(batch.values::<Int32Type>("label"));
            scores.predicted.extend(batch.values::<Int32Type>("predicted"));
            scores
                .predicted_perturbed
                .extend(batch.options::<Int32Type>("predicted_perturbed"));
            scores.correct.extend(batch.booleans("correct"));
            scores.loss.extend(batch.values::<Float32Type>("loss"));
            scores.confidence.extend(batch.values::<Float32Type>("confidence"));
            scores.entropy.extend(batch.values::<Float32Type>("entropy"));
            scores.distance.extend(batch.options::<Float32Type>("distance"));
            scores.inconsistency.extend(batch.options::<Float32Type>("inconsistency"));
            scores.consistency.extend(batch.options::<Float32Type>("consistency"));
            scores.status.extend(batch.values::<UInt8Type>("status"));
        })?;
        check_unique(path, &scores.sample)?;
        let least = 0.0..=f32::MAX;
        check_range(path, "distance", &scores, &scores.distance, &least)?;
        check_range(path, "inconsistency", &scores, &scores.inconsistency, &(0.0..=1.0))?;
        check_range(path, "consistency", &scores, &scores.consistency, &(0.0..=1.0))?;
        Ok((scores, provenance))
    }

    /// Writes the table to `path`, atomically.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let columns = vec![
            ("sample", numbers::<UInt32Type>(&self.sample), false),
            ("label", numbers::<Int32Type>(&self.label), false),
            ("predicted", numbers::<Int32Type>(&self.predicted), false),
            (
                "predicted_perturbed",
                optional_numbers::<Int32Type>(&self.predicted_perturbed),
                true,
            ),
            ("correct", Arc::new(BooleanArray::from(self.correct.clone())), false),
            ("loss", numbers::<Float32Type>(&self.loss), false),
            ("confidence", numbers::<Float32Type>(&self.confidence), false),
            ("entropy", numbers::<Float32Type>(&self.entropy), false),
            ("distance", optional_numbers::<Float32Type>(&self.distance), true),
            ("inconsistency", optional_numbers::<Float32Type>(&self.inconsistency), true),
            ("consistency", optional_numbers::<Float32Type>(&self.consistency), true),
            ("status", numbers::<UInt8Type>(&self.status), false),
        ];
        table::write(path, provenance, columns)
    }
}

const COLUMNS: &[Column] = &[
    Column::new("sample", DataType::UInt32),
    Column::new("label", DataType::Int32),
    Column::new("predicted", DataType::Int32),
    Column::nullable("predicted_perturbed", DataType::Int32),
    Column::new("correct", DataType::Boolean),
    Column::new("loss", DataType::Float32),
    Column::new("confidence", DataType::Float32),
    Column::new("entropy", DataType::Float32),
    Column::nullable("distance", DataType::Float32),
    Column::nullable("inconsistency", DataType::Float32),
    Column::nullable("consistency", DataType::Float32),
    Column::new("status", DataType::UInt8),
];

fn check_range(
    path: &Path,
    name: &str,
    scores: &Scores,
    values: &[Option<f32>],
    range: &std::ops::RangeInclusive<f32>,
) -> Result<()> {
    let outside = |value: &Option<f32>| value.is_some_and(|value| !range.contains(&value));
    match values.iter().position(outside) {
        None => Ok(()),
        Some(i) => Err(Error::Value {
            path: path.to_owned(),
            expected: format!("{name} null or in [{}, {}]", range.start(), range.end()),
            found: format!(
                "{} at sample {}",
                values[i].unwrap_or(f32::NAN),
                scores.sample[i]
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn scores() -> Scores {
        Scores {
            sample: vec![5, 2],
            label: vec![0, 1],
            predicted: vec![0, 0],
            predicted_perturbed: vec![Some(1), None],
            correct: vec![true, false],
            loss: vec![0.25, 2.0],
            confidence: vec![0.75, 0.125],
            entropy: vec![0.5, 0.5],
            distance: vec![Some(1.5), None],
            inconsistency: vec![Some(0.875), None],
            consistency: vec![Some(0.125), None],
            status: vec![0, 1],
        }
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.parquet");
        let provenance = Provenance { stage: "score".into(), ..Provenance::default() };
        scores().write(&path, &provenance)?;
        assert_eq!(Scores::read(&path)?, (scores(), Some(provenance)));
        Ok(())
    }

    #[test]
    fn rows_are_appended_column_by_column() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.parquet");
        let mut twice = scores();
        twice.append(Scores { sample: vec![6, 3], ..scores() });
        twice.write(&path, &Provenance::default())?;
        let (read, _) = Scores::read(&path)?;
        assert_eq!((&read, read.len()), (&twice, 4));
        assert_eq!(read.sample, [5, 2, 6, 3]);
        assert_eq!(read.consistency, [Some(0.125), None, Some(0.125), None]);
        Ok(())
    }

    #[test]
    fn equal_scores_are_equal_bytes() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        scores().write(&a, &Provenance::default())?;
        scores().write(&b, &Provenance::default())?;
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
        Ok(())
    }

    #[test]
    fn a_sample_twice_and_a_consistency_that_is_none_are_named() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.parquet");
        let twice = Scores { sample: vec![2, 2], ..scores() };
        twice.write(&path, &Provenance::default())?;
        let error = Scores::read(&path).unwrap_err().to_string();
        assert!(error.contains("sample 2 twice"), "{error}");

        let nan = Scores { consistency: vec![None, Some(f32::NAN)], ..scores() };
        nan.write(&path, &Provenance::default())?;
        let error = Scores::read(&path).unwrap_err().to_string();
        assert!(error.contains("NaN at sample 2"), "{error}");
        Ok(())
    }

    #[test]
    fn a_truncated_table_is_named_with_what_to_do() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scores.parquet");
        scores().write(&path, &Provenance::default())?;
        let whole = fs::read(&path).unwrap();
        for length in [0, 7, whole.len() - 1] {
            crate::atomic::write_bytes(&path, &whole[..length])?;
            let error = Scores::read(&path).unwrap_err().to_string();
            assert!(error.contains("expected a whole Parquet file"), "{error}");
            assert!(error.contains("scores.parquet"), "{error}");
        }
        Ok(())
    }
}
