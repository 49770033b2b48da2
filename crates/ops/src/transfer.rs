//! Values on their way to a device and back, while other work goes on.
//!
//! On the CPU there is no way: values are there at once. Between the processor and a GPU they
//! take it beside the computation, so that neither waits for the other.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Device, Result, Shape, Tensor};

use crate::host;

/// A tensor on its way to a device.
#[derive(Debug)]
pub struct Upload {
    // before the tensor: dropped first, it keeps the tensor's memory from others until it is written
    #[cfg(feature = "cuda")]
    copied: Option<cuda::Copied>,
    tensor: Tensor,
}

/// Starts to bring values to `device`: those that `fill` leaves in the memory it is given, of
/// which it must write every one.
///
/// # Errors
///
/// If there is no memory for them.
///
/// ```
/// use candle_core::Device;
///
/// let upload = ops::upload(2, &Device::Cpu, |values| values.copy_from_slice(&[1.0, 2.0]))?;
/// assert_eq!(upload.tensor()?.to_vec1::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn upload(
    shape: impl Into<Shape>,
    device: &Device,
    fill: impl FnOnce(&mut [f32]),
) -> Result<Upload> {
    let shape = shape.into();
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        let (tensor, copied) = cuda::upload(device, shape, fill)?;
        return Ok(Upload { tensor, copied: Some(copied) });
    }
    let mut values = vec![0.0; shape.elem_count()];
    fill(&mut values);
    Ok(Upload {
        tensor: Tensor::from_vec(values, shape, device)?,
        #[cfg(feature = "cuda")]
        copied: None,
    })
}

impl Upload {
    /// The tensor: what is computed of it from now on waits until it has arrived.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn tensor(&self) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if let Some(copied) = &self.copied {
            copied.wait()?;
        }
        Ok(self.tensor.clone())
    }
}

/// Values on their way from a device.
#[derive(Debug)]
pub struct Later(Inner);

#[derive(Debug)]
enum Inner {
    Here(Vec<f32>),
    #[cfg(feature = "cuda")]
    Coming(cuda::Download),
}

/// Starts to bring the values of a tensor here, behind all that was started before.
///
/// # Errors
///
/// As [`host`].
pub fn later(tensor: &Tensor) -> Result<Later> {
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return Ok(Later(Inner::Coming(cuda::download(tensor)?)));
    }
    Ok(Later::from(host(tensor)?))
}

/// Values that are here already.
impl From<Vec<f32>> for Later {
    fn from(values: Vec<f32>) -> Self {
        Self(Inner::Here(values))
    }
}

impl Later {
    /// The values in the order of the tensor's shape, once they are computed and here.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn values(self) -> Result<Vec<f32>> {
        match self.0 {
            Inner::Here(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Inner::Coming(values) => values.read(),
        }
    }
}
