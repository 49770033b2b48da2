//! The first layer of every model: pixels to the numbers it was trained on.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::{map, storage};

/// Normalises pixels per channel, `(x - mean) / std`, as torchvision's `Normalize`.
///
/// Being part of the model, it leaves pixels in \[0, 1\] everywhere outside.
///
/// # Shapes
///
/// - `x`: `[N, 3, H, W]`
/// - result: `[N, 3, H, W]`
///
/// # Errors
///
/// If `x` has another shape, or a standard deviation is not a positive number.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[[[1f32]], [[0.5]], [[0.25]]]], &Device::Cpu)?;
/// let y = ops::normalize(&x, &[0.5, 0.5, 0.0], &[0.25, 1.0, 0.5])?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2.0, 0.0, 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn normalize(x: &Tensor, mean: &[f32; 3], std: &[f32; 3]) -> Result<Tensor> {
    let (_, channels, height, width) = x.dims4()?;
    if channels != 3 {
        bail!("normalize: expected 3 channels, found {channels} in {:?}", x.shape());
    }
    if !std.iter().all(|s| s.is_finite() && *s > 0.0) {
        bail!("normalize: expected positive standard deviations, found {std:?}");
    }
    x.contiguous()?.apply_op1(Normalize { mean: *mean, std: *std, plane: height * width })
}

struct Normalize {
    mean: [f32; 3],
    std: [f32; 3],
    plane: usize,
}

impl CustomOp1 for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = map::map_planes(storage::slice(storage, layout)?, self.plane, |i| {
            let (mean, std) = (self.mean[i % 3], self.std[i % 3]);
            move |x| (x - mean) / std
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let dx = storage::with(dy, |dy| {
            map::map_planes(dy, self.plane, |i| {
                let std = self.std[i % 3];
                move |d| d / std
            })
        })?;
        storage::tensor(dx, x.shape()).map(Some)
    }
}
