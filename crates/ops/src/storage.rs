//! Slices from tensors and tensors from vectors: the one place that knows candle's storage
//! and the order in which values lie.
//!
//! Images and features, `[N, C, H, W]`, lie with their channels last, as `[N, H, W, C]`: what
//! an operator reads together, the channels of a pixel, are neighbours. They are then *dense*;
//! so is a tensor of any other number of dimensions that is row-major. The parameters of a
//! convolution have four dimensions too, and are row-major.

use std::ops::{Deref, Range};

use candle_core::{
    CpuStorage, DType, Device, Layout, Result, Shape, Storage, Tensor, bail,
};

use crate::{map, turn::Matrix};

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

/// The values of a dense tensor in the order in which they lie, which may be read while the
/// result lives.
///
/// # Errors
///
/// If it is not dense, or not f32 on the CPU.
pub(crate) fn read(tensor: &Tensor) -> Result<impl Deref<Target = [f32]>> {
    values(tensor, lying(tensor)?.layout())
}

/// As [`read`], of a row-major tensor.
///
/// # Errors
///
/// If it is not row-major, or not f32 on the CPU.
pub(crate) fn read_row_major(tensor: &Tensor) -> Result<impl Deref<Target = [f32]>> {
    values(tensor, tensor.layout())
}

fn values<'a>(
    tensor: &'a Tensor,
    layout: &Layout,
) -> Result<impl Deref<Target = [f32]> + use<'a>> {
    expect_values(tensor)?;
    let (storage, _) = tensor.storage_and_layout();
    if !matches!(&*storage, Storage::Cpu(_)) {
        bail!(
            "this operator computes on the CPU alone, found {:?}",
            tensor.device().location()
        );
    }
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(Values { storage, range: start..end }),
        None => bail!("this operator expects a dense tensor, found {layout:?}"),
    }
}

/// The same values with their dimensions in the order in which those of a dense tensor lie.
fn lying(tensor: &Tensor) -> Result<Tensor> {
    if tensor.rank() == 4 { tensor.permute((0, 2, 3, 1)) } else { Ok(tensor.clone()) }
}

/// The same tensor, its values copied only if it is not dense.
///
/// # Errors
///
/// If it is not f32 on the CPU, nor f32 or bf16 on a GPU.
pub(crate) fn dense(tensor: &Tensor) -> Result<Tensor> {
    expect_values(tensor)?;
    if lying(tensor)?.is_contiguous() {
        return Ok(tensor.clone());
    }
    let &[batch, channels, height, width] = tensor.dims() else {
        return tensor.contiguous();
    };
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return map::cuda::pixels(&tensor.contiguous()?);
    }
    let values = {
        let planes = tensor.contiguous()?;
        let planes = read_row_major(&planes)?;
        turned(&planes, batch, (channels, height * width))
    };
    self::tensor(values, (batch, channels, height, width))
}

/// The same tensor in the order of its shape, its values copied only if they do not lie so.
///
/// [`Tensor::contiguous`] does the same, value by value.
///
/// # Errors
///
/// If it is not f32 on the CPU, nor f32 or bf16 on a GPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// // 1 x 2 pixels of two channels, pixel by pixel
/// let x = Tensor::new(&[[[[1f32, 2.0], [3.0, 4.0]]]], &Device::Cpu)?.permute((0, 3, 1, 2))?;
/// let planes = ops::row_major(&x)?.flatten_all()?.to_vec1::<f32>()?;
/// assert_eq!(planes, [1.0, 3.0, 2.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn row_major(tensor: &Tensor) -> Result<Tensor> {
    expect_values(tensor)?;
    let &[batch, channels, height, width] = tensor.dims() else {
        return tensor.contiguous();
    };
    if tensor.is_contiguous() || !lying(tensor)?.is_contiguous() {
        return tensor.contiguous();
    }
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return map::cuda::planes(tensor);
    }
    let planes = turned(&read(tensor)?, batch, (height * width, channels));
    tensor_row_major(planes, (batch, channels, height, width))
}

/// Each of `batch` matrices turned round.
fn turned(values: &[f32], batch: usize, (rows, columns): (usize, usize)) -> Vec<f32> {
    let size = rows * columns;
    let places: Vec<usize> = (0..columns).map(|column| column * rows).collect();
    map::pieces(batch * size, size, |i, out| {
        let from = Matrix { values: &values[i * size..][..size], pitch: columns };
        from.turn(rows, &places, out);
    })
}

/// # Errors
///
/// If the tensor is not f32 on the CPU, nor f32 or bf16 on a GPU.
pub(crate) fn expect_values(tensor: &Tensor) -> Result<()> {
    let is_known = match tensor.device() {
        Device::Cpu => tensor.dtype() == DType::F32,
        Device::Cuda(_) => matches!(tensor.dtype(), DType::F32 | DType::BF16),
        Device::Metal(_) => false,
    };
    if !is_known {
        bail!(
            "this operator expects f32 on the CPU, or f32 or bf16 on a GPU, found {:?} on {:?}",
            tensor.dtype(),
            tensor.device().location(),
        );
    }
    Ok(())
}

/// A dense tensor on the CPU that owns `values`.
///
/// # Errors
///
/// If their number is not that of `shape`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    match *shape.dims() {
        [batch, channels, height, width] => {
            tensor_row_major(values, (batch, height, width, channels))?
                .permute((0, 3, 1, 2))
        }
        _ => tensor_row_major(values, shape),
    }
}

/// A row-major tensor on the CPU that owns `values`.
///
/// # Errors
///
/// If their number is not that of `shape`.
pub(crate) fn tensor_row_major(
    values: Vec<f32>,
    shape: impl Into<Shape>,
) -> Result<Tensor> {
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
    fn images_lie_with_their_channels_last() -> Result<()> {
        // 2 channels of 1 x 3 pixels
        let x = Tensor::new(&[[[[1f32, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]], &Device::Cpu)?;
        assert!(read(&x).is_err());
        let lying = dense(&x)?;
        assert_eq!(*read(&lying)?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(lying.flatten_all()?.to_vec1::<f32>()?, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(*read_row_major(&row_major(&lying)?)?, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        Ok(())
    }

    #[test]
    fn other_types_are_refused_by_name() -> Result<()> {
        let x = Tensor::zeros(2, DType::F64, &Device::Cpu)?;
        let error = read(&x).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("on a GPU, found F64"), "{error}");
        Ok(())
    }
}
