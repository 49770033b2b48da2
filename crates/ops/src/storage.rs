//! Slices from tensors and tensors from vectors: the one place that knows candle's storage.

use candle_core::{
    CpuStorage, DType, Device, Layout, Result, Shape, Storage, Tensor, bail,
};

/// The values behind one argument of a custom operator's forward pass.
///
/// # Errors
///
/// If they are not f32 or not contiguous (the public functions make them so first).
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("this operator expects f32, found {:?}", dtype(storage));
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("this operator expects a contiguous tensor, found {layout:?}"),
    }
}

/// Runs `f` on the values of `tensor` in row-major order, copying only a tensor that is
/// not contiguous.
///
/// # Errors
///
/// If the tensor is not f32 on the CPU.
pub(crate) fn with<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(cpu) => Ok(f(slice(cpu, layout)?)),
        _ => bail!("this operator expects the CPU, found {:?}", tensor.device().location()),
    }
}

/// A tensor on the CPU that owns `values`.
///
/// # Errors
///
/// If their number is not that of `shape`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

fn dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_tensor_is_read_in_row_major_order() -> Result<()> {
        let x = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
        assert_eq!(with(&x.t()?, <[f32]>::to_vec)?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(with(&x.narrow(0, 1, 1)?, <[f32]>::to_vec)?, [4.0, 5.0, 6.0]);
        Ok(())
    }

    #[test]
    fn other_types_are_refused_by_name() -> Result<()> {
        let x = Tensor::zeros(2, DType::F64, &Device::Cpu)?;
        let error = with(&x, <[f32]>::len).unwrap_err().to_string();
        assert!(error.contains("expects f32, found F64"), "{error}");
        Ok(())
    }
}
