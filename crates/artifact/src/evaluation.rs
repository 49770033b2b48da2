use std::{path::Path, sync::Arc};

use arrow::{
    array::StringArray,
    datatypes::{DataType, Float64Type, UInt64Type},
};

use crate::{
    Provenance, Result,
    table::{self, Column, numbers},
};

/// What a model achieves, `evaluation.parquet`: one row a metric, group and explainer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// utf8: the metric, such as `top1` or `miou`.
    pub metric: Vec<String>,
    /// utf8: `all`, `class:NAME`, `group:0`, `group:1` … or, of `sanity`, `layer:NAME`, and of
    /// `fgsm` and `pgd`, `epsilon:8/255`.
    pub group: Vec<String>,
    /// utf8?: the explainer whose maps are measured, if the metric is one of maps.
    pub explainer: Vec<Option<String>>,
    /// f64: the value.
    pub value: Vec<f64>,
    /// u64: over how many images, pairs or pixels.
    pub count: Vec<u64>,
}

impl Evaluation {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.metric.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.metric.is_empty()
    }

    /// Adds a row.
    pub fn push(
        &mut self,
        metric: &str,
        group: &str,
        explainer: Option<&str>,
        value: f64,
        count: u64,
    ) {
        self.metric.push(metric.to_owned());
        self.group.push(group.to_owned());
        self.explainer.push(explainer.map(str::to_owned));
        self.value.push(value);
        self.count.push(count);
    }

    /// The value of a metric, if it was measured.
    ///
    /// ```
    /// let mut evaluation = artifact::Evaluation::default();
    /// evaluation.push("miou", "all", Some("grad-cam"), 0.25, 10);
    /// assert_eq!(evaluation.get("miou", "all", Some("grad-cam")), Some(0.25));
    /// assert_eq!(evaluation.get("miou", "all", None), None);
    /// ```
    pub fn get(&self, metric: &str, group: &str, explainer: Option<&str>) -> Option<f64> {
        let row = (0..self.len()).find(|&i| {
            self.metric[i] == metric
                && self.group[i] == group
                && self.explainer[i].as_deref() == explainer
        })?;
        Some(self.value[row])
    }

    /// Reads the table at `path`.
    pub fn read(path: &Path) -> Result<(Self, Option<Provenance>)> {
        let mut rows = Self::default();
        let provenance = table::read(path, "an evaluation", COLUMNS, |batch| {
            rows.metric.extend(batch.texts("metric").flatten());
            rows.group.extend(batch.texts("group").flatten());
            rows.explainer.extend(batch.texts("explainer"));
            rows.value.extend(batch.values::<Float64Type>("value"));
            rows.count.extend(batch.values::<UInt64Type>("count"));
        })?;
        Ok((rows, provenance))
    }

    /// Writes the table to `path`, atomically.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let columns = vec![
            ("metric", Arc::new(StringArray::from_iter_values(&self.metric)) as _, false),
            ("group", Arc::new(StringArray::from_iter_values(&self.group)) as _, false),
            (
                "explainer",
                Arc::new(self.explainer.iter().collect::<StringArray>()) as _,
                true,
            ),
            ("value", numbers::<Float64Type>(&self.value), false),
            ("count", numbers::<UInt64Type>(&self.count), false),
        ];
        table::write(path, provenance, columns)
    }
}

const COLUMNS: &[Column] = &[
    Column::new("metric", DataType::Utf8),
    Column::new("group", DataType::Utf8),
    Column::nullable("explainer", DataType::Utf8),
    Column::new("value", DataType::Float64),
    Column::new("count", DataType::UInt64),
];

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, LargeStringArray, NullArray, StringViewArray};

    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evaluation.parquet");
        let mut evaluation = Evaluation::default();
        evaluation.push("top1", "all", None, 0.5, 8);
        evaluation.push("miou", "class:cat", Some("grad-cam"), 0.25, 3);
        evaluation.write(&path, &Provenance::default())?;
        assert_eq!(Evaluation::read(&path)?, (evaluation, Some(Provenance::default())));
        Ok(())
    }

    #[test]
    fn the_string_types_of_polars_and_pandas_are_taken() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evaluation.parquet");
        let metric: ArrayRef = Arc::new(LargeStringArray::from(vec!["top1"]));
        let group: ArrayRef = Arc::new(StringViewArray::from(vec!["all"]));
        let columns = vec![
            ("metric", metric, true),
            ("group", group, true),
            ("explainer", Arc::new(NullArray::new(1)) as _, true),
            ("value", numbers::<Float64Type>(&[0.5]), true),
            ("count", numbers::<UInt64Type>(&[8]), true),
        ];
        table::write(&path, &Provenance::default(), columns)?;
        assert_eq!(Evaluation::read(&path)?.0.get("top1", "all", None), Some(0.5));
        Ok(())
    }
}
