//! Parquet tables: columns by name, in batches, with provenance among the key-values.

use std::{fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Float64Type, Schema},
    error::ArrowError,
};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
        },
    },
    basic::Compression,
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};

use crate::{
    Error, Provenance, Result, atomic,
    atomic::io_error,
    tensors::{PROVENANCE, warn_foreign},
};

/// A column that a table should have.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    name: &'static str,
    kind: DataType,
    nullable: bool,
    optional: bool,
}

impl Column {
    /// A column without nulls.
    pub(crate) const fn new(name: &'static str, kind: DataType) -> Self {
        Self { name, kind, nullable: false, optional: false }
    }

    /// A column that may have nulls.
    pub(crate) const fn nullable(name: &'static str, kind: DataType) -> Self {
        Self { name, kind, nullable: true, optional: false }
    }

    /// The same column, which a table may also lack.
    pub(crate) const fn or_absent(mut self) -> Self {
        self.optional = true;
        self
    }

    fn describe(&self) -> String {
        let null = if self.nullable { "?" } else { "" };
        let absent = if self.optional { " (optional)" } else { "" };
        format!("{} {}{null}{absent}", self.name, self.kind)
    }
}

/// Some rows of a table whose columns have been checked.
pub(crate) struct Batch(RecordBatch);

impl Batch {
    pub(crate) fn rows(&self) -> usize {
        self.0.num_rows()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.column_by_name(name).is_some()
    }

    pub(crate) fn values<T: ArrowPrimitiveType>(&self, name: &str) -> &[T::Native] {
        self.column(name).as_primitive::<T>().values()
    }

    pub(crate) fn options<T: ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> impl Iterator<Item = Option<T::Native>> {
        self.column(name).as_primitive::<T>().iter()
    }

    pub(crate) fn booleans(&self, name: &str) -> impl Iterator<Item = bool> {
        self.column(name).as_boolean().values().iter()
    }

    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = Option<String>> {
        self.column(name).as_string::<i32>().iter().map(|text| text.map(str::to_owned))
    }

    fn column(&self, name: &str) -> &ArrayRef {
        self.0.column_by_name(name).expect("the column was asked for and checked")
    }
}

/// Reads `columns` of the table at `path`, batch by batch; other columns are ignored.
///
/// # Errors
///
/// If a column is absent or of a type that does not become the one wanted without loss, or
/// has a null where there should be none.
pub(crate) fn read(
    path: &Path,
    table: &'static str,
    columns: &[Column],
    mut take: impl FnMut(&Batch),
) -> Result<Option<Provenance>> {
    let format = |why: &dyn std::fmt::Display| Error::Format {
        path: path.to_owned(),
        expected: "Parquet",
        found: why.to_string(),
    };
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    if !file.metadata().map_err(|e| io_error(path, e))?.is_file() {
        return Err(format(&"something that is not a regular file"));
    }
    let footer = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())
        .map_err(|why| format(&why))?;
    let provenance = provenance(path, &footer)?;

    let schema = footer.schema().clone();
    let wanted: Vec<&Column> =
        columns.iter().filter(|c| !c.optional || schema.index_of(c.name).is_ok()).collect();
    let indices: Option<Vec<usize>> = wanted.iter().map(|c| find(&schema, c)).collect();
    let Some(indices) = indices else {
        return Err(Error::Columns {
            path: path.to_owned(),
            table,
            expected: list(columns.iter().map(Column::describe)),
            found: list(
                schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())),
            ),
        });
    };
    let projection = ProjectionMask::roots(footer.parquet_schema(), indices);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer)
        .with_projection(projection)
        .with_batch_size(BATCH)
        .build()
        .map_err(|why| format(&why))?;
    let mut first_row = 0;
    for batch in reader {
        let batch = batch.map_err(|why| format(&why))?;
        let rows = batch.num_rows();
        take(&Batch(convert(path, &batch, &wanted, first_row)?));
        first_row += rows;
    }
    if provenance.is_none() {
        warn_foreign(path);
    }
    Ok(provenance)
}

/// Writes a table of these columns to `path`, atomically; the flag says whether a column may
/// have nulls.
///
/// # Errors
///
/// Also if the columns are not of one length.
pub(crate) fn write(
    path: &Path,
    provenance: &Provenance,
    columns: Vec<(&'static str, ArrayRef, bool)>,
) -> Result<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(|why| {
        let expected = "columns of one length".into();
        Error::Value { path: path.to_owned(), expected, found: why.to_string() }
    })?;
    let text = serde_json::to_string(provenance).expect("plain structs serialise");
    // Whatever bears on the bytes is fixed here rather than left to the library's defaults.
    let properties = WriterProperties::builder()
        .set_created_by(concat!("consonance version ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(PROVENANCE.into(), text)]))
        .build();
    // as text: the library's error would be told again as its own cause
    let failed = |why: ParquetError| io_error(path, std::io::Error::other(why.to_string()));
    atomic::write(path, |part| {
        let mut writer =
            ArrowWriter::try_new(part, batch.schema(), Some(properties)).map_err(failed)?;
        writer.write(&batch).map_err(failed)?;
        writer.close().map_err(failed)?;
        Ok(())
    })
}

const BATCH: usize = 8192;

fn provenance(path: &Path, footer: &ArrowReaderMetadata) -> Result<Option<Provenance>> {
    let pairs = footer.metadata().file_metadata().key_value_metadata();
    let value = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == PROVENANCE));
    let parse = |text: &String| {
        serde_json::from_str(text).map_err(|why| Error::Metadata {
            path: path.to_owned(),
            key: PROVENANCE,
            expected: "the provenance as JSON".into(),
            found: why.to_string(),
        })
    };
    value.and_then(|pair| pair.value.as_ref()).map(parse).transpose()
}

/// The column's index, if it is there and of a type that may become the one wanted.
fn find(schema: &Schema, column: &Column) -> Option<usize> {
    let (index, field) = schema.column_with_name(column.name)?;
    let found = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let fits = match &column.kind {
        DataType::Boolean => *found == DataType::Boolean,
        DataType::Utf8 => {
            matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        }
        // An integer column with nulls is one of floats in pandas.
        _ => found.is_integer() || found.is_floating(),
    };
    (fits || (column.nullable && *found == DataType::Null)).then_some(index)
}

fn convert(
    path: &Path,
    batch: &RecordBatch,
    wanted: &[&Column],
    first_row: usize,
) -> Result<RecordBatch> {
    let mut converted = Vec::with_capacity(wanted.len());
    for column in wanted {
        let found = batch.column_by_name(column.name).expect("it is in the projection");
        let refuse = |found: String| {
            let expected = format!("a column {}", column.describe());
            Err(Error::Value { path: path.to_owned(), expected, found })
        };
        if !column.nullable && found.null_count() > 0 {
            let row = first_row + (0..found.len()).find(|&i| found.is_null(i)).unwrap_or(0);
            return refuse(format!("a null in row {row}"));
        }
        match cast(found, &column.kind) {
            Ok(array) => converted.push((column.name, array, column.nullable)),
            Err(why) => return refuse(why.to_string()),
        }
    }
    Ok(RecordBatch::try_from_iter_with_nullable(converted)
        .expect("columns of one batch have one length"))
}

/// The array as this type; an error where a number does not fit.
fn cast(array: &ArrayRef, kind: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |array: &ArrayRef, kind| cast_with_options(array, kind, &strict);
    let converted = cast(array, kind)?;
    if kind.is_integer() && array.data_type().is_floating() {
        // The cast truncates; a class of 1.5 is an error.
        let before = cast(array, &DataType::Float64)?;
        let after = cast(&converted, &DataType::Float64)?;
        let (before, after): (_, &[f64]) = (
            before.as_primitive::<Float64Type>(),
            after.as_primitive::<Float64Type>().values(),
        );
        let changed = before
            .iter()
            .zip(after)
            .find(|(before, after)| before.is_some_and(|b| b != **after));
        if let Some((Some(value), _)) = changed {
            return Err(ArrowError::CastError(format!("{value}")));
        }
    }
    Ok(converted)
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// A column of numbers to write.
pub(crate) fn numbers<T: ArrowPrimitiveType>(values: &[T::Native]) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values(values.iter().copied()))
}

/// A column of numbers and nulls to write.
pub(crate) fn optional_numbers<T: ArrowPrimitiveType>(
    values: &[Option<T::Native>],
) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<PrimitiveArray<T>>())
}
