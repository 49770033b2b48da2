//! Tensors in the memory of a GPU.

#![expect(unsafe_code, reason = "the address of a buffer is handed to kernels")]

use candle_core::{
    CudaDevice, CudaStorage, DType, Device, Result, Shape, Storage, Tensor,
    backend::BackendDevice,
    bail,
    cuda::{
        CudaStorageSlice,
        cudarc::driver::{CudaSlice, CudaStream, DevicePtr},
    },
    op::BackpropOp,
};

use super::Arg;

/// The GPU that a tensor is on.
///
/// # Errors
///
/// If it is on none.
pub(crate) fn gpu(tensor: &Tensor) -> Result<&CudaDevice> {
    match tensor.device() {
        Device::Cuda(device) => Ok(device),
        other => bail!("expected a tensor on a GPU, found one on {:?}", other.location()),
    }
}

/// A row-major tensor whose values are whatever lies in its memory: for a kernel to write.
///
/// # Errors
///
/// If there is no memory for it.
pub(crate) fn empty(
    device: &CudaDevice,
    dtype: DType,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let shape = shape.into();
    // SAFETY: only kernels that write all of it are given it.
    let storage = unsafe { device.alloc_uninit(&shape, dtype)? };
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
}

/// A dense tensor of this type and shape, as [`empty`]: with its channels last, if it has four
/// dimensions.
///
/// # Errors
///
/// As [`empty`].
pub(crate) fn laid_out(
    device: &CudaDevice,
    dtype: DType,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let shape = shape.into();
    match *shape.dims() {
        [batch, channels, height, width] => {
            empty(device, dtype, (batch, height, width, channels))?.permute((0, 3, 1, 2))
        }
        _ => empty(device, dtype, shape),
    }
}

/// [`laid_out`] as `tensor` is.
///
/// # Errors
///
/// As [`empty`].
pub(crate) fn empty_like(tensor: &Tensor) -> Result<Tensor> {
    laid_out(gpu(tensor)?, tensor.dtype(), tensor.shape())
}

/// The address of a tensor's first value. Its values lie one after the other from there, in
/// their order or, of a dense tensor of four dimensions, with their channels last: that is for
/// the caller to know.
///
/// # Errors
///
/// If it is on no GPU, or of a type that kernels do not know.
pub(crate) fn at(tensor: &Tensor) -> Result<Arg> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(CudaStorage { slice, device }) = &*storage else {
        bail!("expected a tensor on a GPU, found one on {:?}", tensor.device().location());
    };
    let stream = device.cuda_stream();
    let (address, size) = match slice {
        CudaStorageSlice::U8(values) => (address(values, &stream), 1),
        CudaStorageSlice::U32(values) => (address(values, &stream), 4),
        CudaStorageSlice::I64(values) => (address(values, &stream), 8),
        CudaStorageSlice::BF16(values) => (address(values, &stream), 2),
        CudaStorageSlice::F32(values) => (address(values, &stream), 4),
        CudaStorageSlice::F64(values) => (address(values, &stream), 8),
        _ => bail!("no kernel takes values of type {:?}", tensor.dtype()),
    };
    Ok(Arg::Pointer(address + (layout.start_offset() * size) as u64))
}

fn address<T>(values: &CudaSlice<T>, stream: &CudaStream) -> u64 {
    // one stream computes: nothing to wait for, and nothing to tell others
    let (address, _) = values.device_ptr(stream);
    address
}

/// A row-major tensor on the GPU with a copy of `values`.
///
/// # Errors
///
/// If there is no memory for it.
pub(crate) fn to_device<T: candle_core::WithDType>(
    device: &CudaDevice,
    values: Vec<T>,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cuda(device.clone()))
}
