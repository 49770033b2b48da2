//! The way to a GPU for who does not know whether there is one.

use candle_core::{Device, Result, Tensor};

use crate::{Precision, map, row_major, storage};

/// Whether this was built with the feature `cuda`.
pub const HAS_CUDA: bool = cfg!(feature = "cuda");

/// The first NVIDIA GPU, for the whole process.
///
/// # Errors
///
/// If this was built without the feature `cuda`, or if there is no driver, no GPU, or none that
/// runs these kernels; the message says which, in one line.
pub fn gpu(precision: Precision) -> Result<Device> {
    #[cfg(feature = "cuda")]
    return crate::cuda::open(precision);
    #[cfg(not(feature = "cuda"))]
    candle_core::bail!("this program was built without CUDA: no {precision:?} on a GPU");
}

/// The values of a tensor as f32 in the order of its shape, wherever it is; of one on a GPU, once
/// it is computed.
///
/// # Errors
///
/// If they are not f32 on the CPU, nor f32 or bf16 on a GPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// // 1 x 2 pixels of two channels, pixel by pixel
/// let x = Tensor::new(&[[[[1f32, 2.0], [3.0, 4.0]]]], &Device::Cpu)?.permute((0, 3, 1, 2))?;
/// assert_eq!(ops::host(&x)?, [1.0, 3.0, 2.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn host(tensor: &Tensor) -> Result<Vec<f32>> {
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return crate::later(tensor)?.values();
    }
    let values = row_major(tensor)?.flatten_all()?;
    Ok(map::map(&storage::read(&values)?, |value| value))
}
