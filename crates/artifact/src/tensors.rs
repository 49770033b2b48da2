//! Safetensors files, to read: a JSON header with names, types, shapes and metadata, then
//! the data. The `safetensors` crate checks the header.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;

use crate::{Error, Labels, Provenance, Result, atomic::io_error};

/// The metadata key of [`Provenance`].
pub(crate) const PROVENANCE: &str = "consonance";

/// A safetensors file, mapped into memory.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    map: Mmap,
    tensors: BTreeMap<String, Info>,
    metadata: HashMap<String, String>,
}

/// Where a tensor lies in its file.
#[derive(Clone, Debug)]
struct Info {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

/// A tensor in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: &'a [u8],
}

impl TensorFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let format = |found: String| Error::Format {
            path: path.to_owned(),
            expected: "safetensors",
            found,
        };
        let file = File::open(path).map_err(|e| io_error(path, e))?;
        if !file.metadata().map_err(|e| io_error(path, e))?.is_file() {
            return Err(format("something that is not a regular file".into()));
        }
        let map = map(&file).map_err(|e| io_error(path, e))?;
        let (header, contents) = SafeTensors::read_metadata(&map)
            .map_err(|why| format(format!("{} ({why})", resemblance(&map))))?;
        let start = size_of::<u64>() + header;
        let tensors = contents.tensors().into_iter().map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let bytes = start + from..start + to;
            (name, Info { dtype: info.dtype, shape: info.shape.clone(), bytes })
        });
        Ok(Self {
            path: path.to_owned(),
            tensors: tensors.collect(),
            metadata: contents.metadata().clone().unwrap_or_default(),
            map,
        })
    }

    /// The JSON under a metadata key, if the file has that key.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        key: &'static str,
        expected: &str,
    ) -> Result<Option<T>> {
        let parse = |text: &String| {
            serde_json::from_str(text)
                .map_err(|why| self.metadata_error(key, expected, &why))
        };
        self.metadata.get(key).map(parse).transpose()
    }

    /// The JSON under a metadata key that the file must have.
    pub(crate) fn require_json<T: DeserializeOwned>(
        &self,
        key: &'static str,
        expected: &str,
    ) -> Result<T> {
        let absent = || self.metadata_error(key, expected, &"no such key");
        self.json(key, expected)?.ok_or_else(absent)
    }

    fn metadata_error(
        &self,
        key: &'static str,
        expected: &str,
        found: &dyn std::fmt::Display,
    ) -> Error {
        Error::Metadata {
            path: self.path.clone(),
            key,
            expected: expected.to_owned(),
            found: found.to_string(),
        }
    }

    /// What the file says it was made by; a warning if it does not.
    pub(crate) fn provenance(&self) -> Result<Option<Provenance>> {
        let found = self.json(PROVENANCE, "the provenance as JSON")?;
        if found.is_none() {
            warn_foreign(&self.path);
        }
        Ok(found)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<View<'_>> {
        let info = self.tensors.get(name)?;
        Some(View {
            dtype: info.dtype,
            shape: &info.shape,
            bytes: &self.map[info.bytes.clone()],
        })
    }

    /// The tensor, which must have this type and shape; `None` is any extent.
    pub(crate) fn require(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[Option<usize>],
    ) -> Result<View<'_>> {
        match self.tensor(name) {
            Some(view) if view.dtype == dtype && fits(view.shape, shape) => Ok(view),
            _ => Err(self.tensor_error(name, describe(dtype, shape))),
        }
    }

    /// The error that tensor `name` is not as `expected`.
    pub(crate) fn tensor_error(&self, name: &str, expected: String) -> Error {
        let names = || self.names().take(8).collect::<Vec<_>>().join(", ");
        let found = match self.tensor(name) {
            Some(view) => format!("{} {:?}", view.dtype, view.shape),
            None => format!("none of that name among: {}", names()),
        };
        Error::Tensor { path: self.path.clone(), name: name.to_owned(), expected, found }
    }

    /// Where in the file the bytes of a tensor lie.
    pub(crate) fn range(&self, name: &str) -> Option<Range<usize>> {
        self.tensors.get(name).map(|info| info.bytes.clone())
    }

    /// All bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The tensor `labels` of `n` images: i64 `[N]` or u8 `[N, K]`, checked against K.
    pub(crate) fn labels(&self, n: usize, classes: usize) -> Result<Labels> {
        let expected = || format!("I64 [{n}] or U8 [{n}, {classes}]");
        let error = || self.tensor_error("labels", expected());
        let view = self.tensor("labels").ok_or_else(error)?;
        let labels = match (view.dtype, view.shape) {
            (Dtype::I64, &[rows]) if rows == n => Labels::Single(view.i64()),
            (Dtype::U8, &[rows, columns]) if rows == n && columns == classes => {
                Labels::Multi { classes, hot: view.bytes.to_vec() }
            }
            _ => return Err(error()),
        };
        match labels.first_bad(classes) {
            None => Ok(labels),
            Some(found) => Err(Error::Value {
                path: self.path.clone(),
                expected: match labels {
                    Labels::Single(_) => format!("labels in 0..{classes}"),
                    Labels::Multi { .. } => "multi-hot labels of 0 and 1".into(),
                },
                found,
            }),
        }
    }
}

impl View<'_> {
    pub(crate) fn f32(&self) -> Vec<f32> {
        self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }

    pub(crate) fn i64(&self) -> Vec<i64> {
        self.bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
    }

    pub(crate) fn u32(&self) -> Vec<u32> {
        self.bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
    }
}

#[expect(unsafe_code, reason = "a data set larger than memory is read through a map")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: a map is undefined if the file changes underneath. Artefacts are never changed
    // in place: they are written beside and renamed, which leaves a mapped one as it was.
    unsafe { Mmap::map(file) }
}

/// What a file which is no safetensors file might be.
fn resemblance(bytes: &[u8]) -> String {
    match bytes {
        [] => "an empty file".into(),
        [b'P', b'A', b'R', b'1', ..] => "a Parquet table".into(),
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => {
            "a Python pickle; save its state_dict with safetensors.torch.save_file".into()
        }
        _ => format!("{} bytes which are truncated or something else", bytes.len()),
    }
}

pub(crate) fn warn_foreign(path: &Path) {
    tracing::warn!("{} does not say what it was made from; taken as it is", path.display());
}

fn fits(found: &[usize], expected: &[Option<usize>]) -> bool {
    found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| expected.is_none_or(|e| e == *found))
}

fn describe(dtype: Dtype, shape: &[Option<usize>]) -> String {
    let extent =
        |extent: &Option<usize>| extent.map_or("_".into(), |extent| extent.to_string());
    let extents: Vec<String> = shape.iter().map(extent).collect();
    format!("{dtype} [{}]", extents.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        atomic,
        contents::{Contents, Elements},
    };

    fn contents(values: &[f32]) -> Contents<'_> {
        Contents::default().tensor("b", &[1, values.len()], Elements::F32(values)).tensor(
            "a",
            &[2],
            Elements::U8(&[7, 8]),
        )
    }

    #[test]
    fn a_truncated_file_is_named_with_what_to_do() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whole");
        contents(&[0.5]).write(&path)?;
        let whole = fs::read(&path).unwrap();
        for length in [0, 5, 40, whole.len() - 1] {
            let path = dir.path().join("cut.safetensors");
            atomic::write_bytes(&path, &whole[..length])?;
            let error = TensorFile::open(&path).unwrap_err().to_string();
            for part in [
                "cut.safetensors",
                "expected a whole safetensors file",
                "make the file again",
            ] {
                assert!(error.contains(part), "{error}");
            }
        }
        Ok(())
    }

    #[test]
    fn another_format_is_recognised() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.pth");
        atomic::write_bytes(&path, b"PK\x03\x04 and so on")?;
        let error = TensorFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("save_file"), "{error}");
        Ok(())
    }

    #[test]
    fn an_absent_tensor_and_one_of_another_shape_are_told_apart() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        contents(&[0.5]).write(&path)?;
        let file = TensorFile::open(&path)?;
        let absent = file.require("maps", Dtype::F32, &[None]).unwrap_err().to_string();
        assert!(absent.contains("none of that name among: a, b"), "{absent}");
        let shape = file.require("b", Dtype::U8, &[None, Some(3)]).unwrap_err().to_string();
        assert!(shape.contains("U8 [_, 3]") && shape.contains("F32 [1, 1]"), "{shape}");
        Ok(())
    }
}
