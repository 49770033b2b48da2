//! Safetensors files, to write. The `safetensors` crate orders the metadata at random, and
//! equal contents must be equal bytes; hence a writer of our own.

use std::{
    collections::BTreeMap,
    io::{BufWriter, Write},
    path::Path,
};

use safetensors::Dtype;
use serde::Serialize;

use crate::{
    Error, Labels, Provenance, Result, atomic, atomic::io_error, tensors::PROVENANCE,
};

/// The elements of a tensor to write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Elements<'a> {
    U8(&'a [u8]),
    U32(&'a [u32]),
    F32(&'a [f32]),
    I64(&'a [i64]),
}

/// The contents of a file to write: tensors by name, and metadata.
#[derive(Debug, Default)]
pub(crate) struct Contents<'a> {
    tensors: BTreeMap<&'a str, (Vec<usize>, Elements<'a>)>,
    metadata: BTreeMap<&'static str, String>,
}

impl<'a> Contents<'a> {
    pub(crate) fn tensor(
        mut self,
        name: &'a str,
        shape: &[usize],
        elements: Elements<'a>,
    ) -> Self {
        self.tensors.insert(name, (shape.to_vec(), elements));
        self
    }

    /// The tensor `labels`.
    pub(crate) fn labels(self, labels: &'a Labels) -> Self {
        match labels {
            Labels::Single(of) => self.tensor("labels", &[of.len()], Elements::I64(of)),
            Labels::Multi { classes, hot } => {
                self.tensor("labels", &[labels.len(), *classes], Elements::U8(hot))
            }
        }
    }

    /// A metadata key with a value that serialises to JSON.
    pub(crate) fn json(mut self, key: &'static str, value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).expect("plain structs serialise");
        self.metadata.insert(key, text);
        self
    }

    pub(crate) fn provenance(self, provenance: Option<&Provenance>) -> Self {
        match provenance {
            Some(provenance) => self.json(PROVENANCE, provenance),
            None => self,
        }
    }

    /// Writes `path`, atomically: the widest type first, so that all is aligned, then by name.
    ///
    /// # Errors
    ///
    /// Also if a tensor has not as many elements as its shape says.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut order: Vec<_> = self.tensors.iter().collect();
        order.sort_by_key(|(_, (_, elements))| std::cmp::Reverse(elements.width()));
        let mut header = Header {
            metadata: (!self.metadata.is_empty()).then_some(&self.metadata),
            ..Header::default()
        };
        let mut offset = 0;
        for (name, (shape, elements)) in &order {
            if shape.iter().product::<usize>() != elements.len() {
                return Err(Error::Tensor {
                    path: path.to_owned(),
                    name: (*name).to_string(),
                    expected: format!("shape {shape:?}"),
                    found: format!("{} elements", elements.len()),
                });
            }
            let end = offset + elements.len() * elements.width();
            let entry =
                Entry { dtype: elements.dtype(), shape, data_offsets: (offset, end) };
            header.tensors.insert(name, entry);
            offset = end;
        }
        let mut text = serde_json::to_vec(&header).expect("a header serialises");
        text.resize(text.len().next_multiple_of(size_of::<u64>()), b' ');

        atomic::write(path, |part| {
            let mut out = BufWriter::with_capacity(1 << 20, part);
            let mut fill = || {
                out.write_all(&(text.len() as u64).to_le_bytes())?;
                out.write_all(&text)?;
                for (_, (_, elements)) in &order {
                    elements.write(&mut out)?;
                }
                out.flush()
            };
            fill().map_err(|source| io_error(path, source))
        })
    }
}

#[derive(Default, Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__", skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<&'static str, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data_offsets: (usize, usize),
}

impl Elements<'_> {
    fn len(&self) -> usize {
        match self {
            Self::U8(elements) => elements.len(),
            Self::U32(elements) => elements.len(),
            Self::F32(elements) => elements.len(),
            Self::I64(elements) => elements.len(),
        }
    }

    fn dtype(&self) -> Dtype {
        match self {
            Self::U8(_) => Dtype::U8,
            Self::U32(_) => Dtype::U32,
            Self::F32(_) => Dtype::F32,
            Self::I64(_) => Dtype::I64,
        }
    }

    fn width(&self) -> usize {
        self.dtype().bitsize() / 8
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::U8(elements) => out.write_all(elements),
            Self::U32(elements) => {
                elements.iter().try_for_each(|e| out.write_all(&e.to_le_bytes()))
            }
            Self::F32(elements) => {
                elements.iter().try_for_each(|e| out.write_all(&e.to_le_bytes()))
            }
            Self::I64(elements) => {
                elements.iter().try_for_each(|e| out.write_all(&e.to_le_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tensors::TensorFile;

    fn contents(values: &[f32]) -> Contents<'_> {
        Contents::default()
            .tensor("b", &[1, values.len()], Elements::F32(values))
            .tensor("a", &[2], Elements::U8(&[7, 8]))
            .tensor("c", &[], Elements::I64(&[-1]))
            .json("z", &"last")
            .json("y", &"first")
    }

    #[test]
    fn the_header_is_sorted_and_padded_and_the_widest_type_first() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        contents(&[0.5, 1.0]).write(&path)?;
        let bytes = fs::read(&path).unwrap();
        let header = concat!(
            r#"{"__metadata__":{"y":"\"first\"","z":"\"last\""},"#,
            r#""a":{"dtype":"U8","shape":[2],"data_offsets":[16,18]},"#,
            r#""b":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"#,
            r#""c":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#,
        );
        let padded = header.len().next_multiple_of(8);
        assert_eq!(bytes[..8], (padded as u64).to_le_bytes());
        assert_eq!(std::str::from_utf8(&bytes[8..8 + padded]).unwrap().trim_end(), header);
        assert_eq!(bytes.len(), 8 + padded + 18);

        let file = TensorFile::open(&path)?;
        assert_eq!(file.require("b", Dtype::F32, &[None, Some(2)])?.f32(), [0.5, 1.0]);
        assert_eq!(file.require("c", Dtype::I64, &[])?.i64(), [-1]);
        assert_eq!(file.json::<String>("y", "")?.as_deref(), Some("first"));
        Ok(())
    }
}
