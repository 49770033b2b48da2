//! Slices from tensors and tensors from vectors: the one place that knows candle's storage.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, DType, Device, Result, Shape, Storage, Tensor, bail};

/// The values of a tensor, behind the guard of its storage.
struct Values<G> {
    storage: G,
    range: Range<usize>,
}

impl<G: Deref<Target = Storage>> Deref for Values<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let Storage::Cpu(CpuStorage::F32(values)) = &*self.storage else {
            unreachable!("`read` has checked it, and a tensor keeps its type and place")
        };
        &values[self.range.clone()]
    }
}

/// The values of a contiguous tensor, which may be read while the result lives.
///
/// # Errors
///
/// If it is not contiguous, or not f32 on the CPU.
pub(crate) fn read(tensor: &Tensor) -> Result<impl Deref<Target = [f32]>> {
    expect_f32(tensor)?;
    let (storage, layout) = tensor.storage_and_layout();
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(Values { storage, range: start..end }),
        None => bail!("this operator expects a contiguous tensor, found {layout:?}"),
    }
}

/// # Errors
///
/// If the tensor is not f32 on the CPU.
pub(crate) fn expect_f32(tensor: &Tensor) -> Result<()> {
    if tensor.dtype() != DType::F32 || !tensor.device().is_cpu() {
        bail!(
            "this operator expects f32 on the CPU, found {:?} on {:?}",
            tensor.dtype(),
            tensor.device().location(),
        );
    }
    Ok(())
}

/// A tensor on the CPU that owns `values`.
///
/// # Errors
///
/// If their number is not that of `shape`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_tensor_is_read_where_it_lies() -> Result<()> {
        let x = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
        assert_eq!(*read(&x.narrow(0, 1, 1)?)?, [4.0, 5.0, 6.0]);
        assert!(read(&x.t()?).is_err());
        Ok(())
    }

    #[test]
    fn other_types_are_refused_by_name() -> Result<()> {
        let x = Tensor::zeros(2, DType::F64, &Device::Cpu)?;
        let error = read(&x).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("expects f32 on the CPU, found F64"), "{error}");
        Ok(())
    }
}
