//! Candle's tensors as elements to write: lent where they lie, since a copy of a network and
//! its optimiser's state may be more than the memory that is left.

use std::{
    collections::BTreeMap,
    ops::{Deref, Range},
    path::Path,
};

use candle_core::{CpuStorage, DType, Storage, Tensor};

use crate::{
    Error, Result,
    contents::{Contents, Elements},
};

/// Tensors to write, by name.
#[derive(Default)]
pub struct Values<'a>(BTreeMap<String, (&'a [usize], Lent<'a>)>);

enum Lent<'a> {
    /// Behind the guard of its storage.
    InPlace(Box<dyn Deref<Target = Storage> + 'a>, Range<usize>),
    CopiedF32(Vec<f32>),
    CopiedI64(Vec<i64>),
}

impl<'a> Values<'a> {
    /// Those of a file at `path`.
    ///
    /// # Errors
    ///
    /// If a tensor is neither f32 nor i64.
    pub(crate) fn of(path: &Path, tensors: &'a BTreeMap<String, Tensor>) -> Result<Self> {
        let mut values = Self::default();
        for (name, tensor) in tensors {
            values.insert(name.clone(), tensor).map_err(|why| Error::Tensor {
                path: path.to_owned(),
                name: name.clone(),
                expected: "F32 or I64".into(),
                found: why.to_string(),
            })?;
        }
        Ok(values)
    }

    /// Adds a tensor.
    ///
    /// # Errors
    ///
    /// If it is neither f32 nor i64.
    pub fn insert(&mut self, name: String, tensor: &'a Tensor) -> candle_core::Result<()> {
        self.0.insert(name, (tensor.dims(), Lent::of(tensor)?));
        Ok(())
    }

    /// Adds all of these.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// A file of them.
    pub(crate) fn contents(&self) -> Contents<'_> {
        self.0.iter().fold(Contents::default(), |contents, (name, (shape, lent))| {
            contents.tensor(name, shape, lent.elements())
        })
    }
}

impl<'a> Lent<'a> {
    fn of(tensor: &'a Tensor) -> candle_core::Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        if let Some((start, end)) = layout.contiguous_offsets()
            && matches!(&*storage, Storage::Cpu(CpuStorage::F32(_) | CpuStorage::I64(_)))
        {
            return Ok(Self::InPlace(Box::new(storage), start..end));
        }
        drop(storage);
        let flat = tensor.flatten_all()?;
        match flat.dtype() {
            DType::I64 => Ok(Self::CopiedI64(flat.to_vec1()?)),
            _ => Ok(Self::CopiedF32(flat.to_vec1()?)),
        }
    }

    fn elements(&self) -> Elements<'_> {
        match self {
            Self::InPlace(storage, range) => match &***storage {
                Storage::Cpu(CpuStorage::F32(values)) => {
                    Elements::F32(&values[range.clone()])
                }
                Storage::Cpu(CpuStorage::I64(values)) => {
                    Elements::I64(&values[range.clone()])
                }
                _ => unreachable!("`of` has looked, and a tensor keeps its type and place"),
            },
            Self::CopiedF32(values) => Elements::F32(values),
            Self::CopiedI64(values) => Elements::I64(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn what_lies_in_another_order_is_written_in_that_of_its_shape() {
        let more = Tensor::new(&[5f32], &Device::Cpu).unwrap();
        let x = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let n = Tensor::new(&[7i64], &Device::Cpu).unwrap();
        let part = x.narrow(0, 1, 1).unwrap();
        let tensors = [("n", n), ("part", part), ("turned", x.t().unwrap())]
            .map(|(k, v)| (k.into(), v));
        let tensors = BTreeMap::from(tensors);
        let mut values = Values::of(Path::new("x"), &tensors).unwrap();
        values.insert("more".into(), &more).unwrap();
        let elements: Vec<String> =
            values.0.values().map(|(_, lent)| format!("{:?}", lent.elements())).collect();
        let expected =
            ["F32([5.0])", "I64([7])", "F32([3.0, 4.0])", "F32([1.0, 3.0, 2.0, 4.0])"];
        assert_eq!(elements, expected);
    }
}
