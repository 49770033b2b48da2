//! Rectified linear units.

use candle_core::{Result, Tensor};

use crate::{
    Node, map,
    node::{Operator, Way},
    storage,
};

/// What is made of each value at the end of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
}

/// An activation as bounds: what lies outside is replaced by them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Activation {
    pub(crate) fn bounds(self) -> Bounds {
        match self {
            Self::Identity => Bounds::NONE,
            Self::Relu => Bounds { low: 0.0, ..Bounds::NONE },
            Self::Relu6 => Bounds { low: 0.0, high: 6.0 },
        }
    }
}

impl Bounds {
    /// Those of the identity.
    pub(crate) const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// The activation of `x`; comparisons that are false let NaN pass.
    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    pub(crate) fn clip(self, x: f32) -> f32 {
        let x = if x <= self.low { self.low } else { x };
        if x >= self.high { self.high } else { x }
    }

    /// The gradient `d` of the result `y` as one of the argument: two selections, no branch.
    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    pub(crate) fn pass(self, y: f32, d: f32) -> f32 {
        // an infinite bound cuts nothing, not even what is infinite
        let d = if y <= self.low && self.low > f32::NEG_INFINITY { 0.0 } else { d };
        if y >= self.high && self.high < f32::INFINITY { 0.0 } else { d }
    }
}

/// The activation of every value.
///
/// `Relu` is the rectified linear unit (Nair and Hinton, 2010), `Relu6` the one that
/// saturates at 6 (`MobileNetV2`). The derivative at a bound, 0 or 6, is 0, as in `PyTorch`
/// (candle's own says 1 at 0). NaN stays NaN.
///
/// # Shapes
///
/// Any; the result has the shape of `x`.
///
/// # Errors
///
/// If `x` is not f32 on the CPU, nor f32 or bf16 on a GPU, as for every operator.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Activation, Node};
///
/// let x = Tensor::new(&[-1f32, 0.0, 2.0], &Device::Cpu)?;
/// let y = ops::activate(&Node::variable(&x), Activation::Relu)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0, 2.0]);
/// let gradients = y.backward(&Tensor::new(&[1f32, 1.0, 1.0], &Device::Cpu)?)?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 0.0, 1.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Activation, Node};
///
/// let x = Tensor::new(&[-1f32, 0.0, 2.0, 6.0, 7.0], &Device::Cpu)?;
/// let y = ops::activate(&Node::variable(&x), Activation::Relu6)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 0.0, 2.0, 6.0, 6.0]);
/// let gradients = y.backward(&x.ones_like()?)?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 0.0, 1.0, 0.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn activate(x: &Node, activation: Activation) -> Result<Node> {
    let bounds = activation.bounds();
    let values = x.dense()?;
    let y = clipped(&values, bounds)?;
    Ok(Node::of(y.clone(), &[x], Clip((y, bounds))))
}

/// The gradient of what `bounds` made `y` of.
pub(crate) fn passed(y: &Tensor, dy: &Tensor, bounds: Bounds) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if y.device().is_cuda() {
        return map::cuda::pass(y, dy, bounds);
    }
    let dx =
        map::zip(&storage::read(y)?, &storage::read(dy)?, move |y, d| bounds.pass(y, d));
    storage::tensor(dx, y.shape())
}

fn clipped(x: &Tensor, bounds: Bounds) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return map::cuda::clip(x, bounds);
    }
    let y = map::map(&storage::read(x)?, move |x| bounds.clip(x));
    storage::tensor(y, x.shape())
}

#[derive(Debug)]
struct Clip((Tensor, Bounds));

impl Operator for Clip {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(way.pass(self.clipped(), dy)?)])
    }

    fn clipped(&self) -> Option<&(Tensor, Bounds)> {
        Some(&self.0).filter(|(_, bounds)| *bounds != Bounds::NONE)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_number_that_is_none_stays_visible() -> Result<()> {
        let x = Tensor::new(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &Device::Cpu)?;
        let x = Node::from(&x);
        let y = activate(&x, Activation::Relu)?.to_vec1::<f32>()?;
        assert!(y[0].is_nan() && y[1] == f32::INFINITY && y[2] == 0.0, "{y:?}");
        let y = activate(&x, Activation::Relu6)?.to_vec1::<f32>()?;
        assert!(y[0].is_nan() && y[1] == 6.0 && y[2] == 0.0, "{y:?}");
        Ok(())
    }
}
