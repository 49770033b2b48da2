//! Rectified linear units.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use crate::{map, storage};

/// Rectified linear unit (Nair and Hinton, 2010), `max(x, 0)`.
///
/// The derivative at 0 is 0, as in `PyTorch` (candle's own says 1). NaN stays NaN.
///
/// # Shapes
///
/// Any; the result has the shape of `x`.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Var};
///
/// let x = Var::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
/// let y = ops::relu(&x)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
/// let gradients = y.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 0.0, 1.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Clip { high: f32::INFINITY })
}

/// Rectified linear unit that saturates at 6 (`MobileNetV2`), `min(max(x, 0), 6)`.
///
/// The derivative is 0 at 0 and at 6, as in `PyTorch`. NaN stays NaN.
///
/// # Shapes
///
/// Any; the result has the shape of `x`.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Var};
///
/// let x = Var::new(&[-1f32, 0.0, 2.0, 6.0, 7.0], &Device::Cpu)?;
/// let y = ops::relu6(&x)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0, 2.0, 6.0, 6.0]);
/// let gradients = y.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 0.0, 1.0, 0.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Clip { high: 6.0 })
}

/// The end of a residual block (He et al., 2016), `max(a + b, 0)`, in one pass.
///
/// # Shapes
///
/// Any, equal; the result has the same.
///
/// # Errors
///
/// If the shapes differ.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let a = Tensor::new(&[1f32, -3.0], &Device::Cpu)?;
/// let b = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
/// assert_eq!(ops::add_relu(&a, &b)?.to_vec1::<f32>()?, [2.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() != b.shape() {
        bail!("add_relu: shapes differ, {:?} and {:?}", a.shape(), b.shape());
    }
    a.contiguous()?.apply_op2(&b.contiguous()?, AddRelu)
}

struct Clip {
    high: f32,
}

impl CustomOp1 for Clip {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let high = self.high;
        let y = map::map(storage::slice(storage, layout)?, move |x| clip(x, high));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        backward(y, dy, self.high).map(Some)
    }
}

struct AddRelu;

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add_relu"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b) = (storage::slice(a, a_layout)?, storage::slice(b, b_layout)?);
        let y = map::zip(a, b, |a, b| clip(a + b, f32::INFINITY));
        Ok((CpuStorage::F32(y), a_layout.shape().clone()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = backward(y, dy, f32::INFINITY)?;
        Ok((a.track_op().then(|| dx.clone()), b.track_op().then_some(dx)))
    }
}

/// Comparisons that are false let NaN pass.
#[inline]
fn clip(x: f32, high: f32) -> f32 {
    let x = if x <= 0.0 { 0.0 } else { x };
    if x >= high { high } else { x }
}

fn backward(y: &Tensor, dy: &Tensor, high: f32) -> Result<Tensor> {
    let dx = storage::with(y, |y| {
        storage::with(dy, |dy| {
            map::zip(y, dy, move |y, d| {
                // two selections, no branch
                let d = if y <= 0.0 { 0.0 } else { d };
                if y >= high { 0.0 } else { d }
            })
        })
    })??;
    storage::tensor(dx, y.shape())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_number_that_is_none_stays_visible() -> Result<()> {
        let x = Tensor::new(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &Device::Cpu)?;
        let y = relu(&x)?.to_vec1::<f32>()?;
        assert!(y[0].is_nan() && y[1] == f32::INFINITY && y[2] == 0.0, "{y:?}");
        let y = relu6(&x)?.to_vec1::<f32>()?;
        assert!(y[0].is_nan() && y[1] == 6.0 && y[2] == 0.0, "{y:?}");
        Ok(())
    }

    #[test]
    fn the_shapes_of_a_residual_join_must_agree() -> Result<()> {
        let a = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu)?;
        assert!(add_relu(&a, &a.t()?).is_err());
        Ok(())
    }
}
