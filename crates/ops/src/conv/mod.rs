//! 2-D convolution with exact gradients, dense, grouped and depthwise.
//!
//! Three ways, chosen by the shapes of one image alone: matrix products for 1 x 1 kernels
//! ([`pointwise`]), row by row for depthwise ones ([`depthwise`]), and for everything else
//! sums of shifted products over a flat copy of the input ([`flat`], [`products`]): every
//! tap of the kernel reads contiguous memory at one constant offset.

mod backward_data;
mod backward_weight;
mod depthwise;
mod flat;
mod forward;
mod geometry;
mod grid;
pub(crate) mod kernel;
mod pointwise;
mod products;
pub(crate) mod shared;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::storage;
use flat::Flat;
use geometry::Geometry;

/// Strides, zero padding and dilation of a 2-D convolution as (vertical, horizontal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Input elements from one output to the next.
    pub stride: (usize, usize),
    /// Zeros on either side of the input.
    pub padding: (usize, usize),
    /// Input elements from one kernel element to the next.
    pub dilation: (usize, usize),
    /// Groups of channels that do not mix.
    pub groups: usize,
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: (1, 1), padding: (0, 0), dilation: (1, 1), groups: 1 }
    }
}

/// 2-D cross-correlation, as `torch.nn.functional.conv2d`:
///
/// `y[n, o, i, j] = b[o] + sum_(c, k, l) w[o, c, k, l] * x[n, c, i s + k d - p, j s + l d - p]`
///
/// with zeros outside of `x` and the channels `c` of the group of `o`. The gradients of
/// `w` and `b` are computed only where they are variables, that of `x` only where `x`
/// depends on one. A sample's result does not depend on the batch that it is in, nor on
/// the number of threads.
///
/// # Shapes
///
/// `x` is `[N, C, H, W]`, `w` is `[O, C / groups, Kh, Kw]`, `bias` is `[O]`; the result is
/// `[N, O, (H + 2p - d (Kh - 1) - 1) / s + 1, ...]`. All f32 and on the CPU.
///
/// # Errors
///
/// If the shapes do not fit together, or for another type or device.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Conv2d, conv2d};
///
/// let x = Tensor::new(&[[[[1f32, 2.0, 3.0]]]], &Device::Cpu)?;
/// let w = Tensor::new(&[[[[1f32, 10.0]]]], &Device::Cpu)?;
/// let y = conv2d(&x, &w, None, Conv2d::default())?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [21.0, 32.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    conv: Conv2d,
) -> Result<Tensor> {
    for tensor in [Some(x), Some(w), bias].into_iter().flatten() {
        if tensor.dtype() != candle_core::DType::F32 || !tensor.device().is_cpu() {
            bail!(
                "conv2d expects f32 on the CPU, found {:?} on {:?}",
                tensor.dtype(),
                tensor.device().location(),
            );
        }
    }
    let geometry = Geometry::new(x.dims(), w.dims(), bias.map(Tensor::dims), conv)?;
    let (x, w) = (x.contiguous()?, w.contiguous()?);
    match bias {
        None => x.apply_op2(&w, Operator(geometry)),
        Some(bias) => x.apply_op3(&w, &bias.contiguous()?, Operator(geometry)),
    }
}

struct Operator(Geometry);

impl Operator {
    fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> (CpuStorage, Shape) {
        let geometry = &self.0;
        let y = if pointwise::is_large(geometry) {
            pointwise::forward(geometry, x, w, bias)
        } else if geometry.is_depthwise() {
            depthwise::forward(geometry, x, w, bias)
        } else {
            forward::forward(geometry, x, w, bias)
        };
        (CpuStorage::F32(y), geometry.result().into())
    }

    /// Gradients of `x` and `w`, where they are wanted.
    fn backward(
        &self,
        x: &Tensor,
        w: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = storage::with(x, |x_values| {
            storage::with(w, |w_values| {
                storage::with(dy, |dy| {
                    let wanted = (x.track_op(), w.track_op());
                    self.gradients(x_values, w_values, dy, wanted)
                })
            })
        })???;
        let dx = dx.map(|dx| storage::tensor(dx, x.shape())).transpose()?;
        let dw = dw.map(|dw| storage::tensor(dw, w.shape())).transpose()?;
        Ok((dx, dw))
    }

    fn gradients(
        &self,
        x: &[f32],
        w: &[f32],
        dy: &[f32],
        (dx, dw): (bool, bool),
    ) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
        let geometry = &self.0;
        if pointwise::is_large(geometry) {
            return (
                dx.then(|| pointwise::backward_data(geometry, dy, w)),
                dw.then(|| pointwise::backward_weight(geometry, x, dy)),
            );
        }
        if geometry.is_depthwise() {
            return (
                dx.then(|| depthwise::backward_data(geometry, dy, w)),
                dw.then(|| depthwise::backward_weight(geometry, x, dy)),
            );
        }
        if !dx && !dw {
            return (None, None);
        }
        let dy = Flat::new(dy, &backward_data::gradient(geometry));
        (
            dx.then(|| backward_data::backward_data(geometry, &dy, w)),
            dw.then(|| {
                let x = Flat::new(x, &forward::input(geometry));
                backward_weight::backward_weight(geometry, &x, &dy)
            }),
        )
    }
}

impl CustomOp2 for Operator {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(self.forward(storage::slice(x, x_layout)?, storage::slice(w, w_layout)?, None))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(x, w, dy)
    }
}

impl CustomOp3 for Operator {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = storage::slice(bias, bias_layout)?;
        let (x, w) = (storage::slice(x, x_layout)?, storage::slice(w, w_layout)?);
        Ok(self.forward(x, w, Some(bias)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = self.backward(x, w, dy)?;
        let db = if bias.track_op() {
            let sums = storage::with(dy, |dy| backward_weight::backward_bias(&self.0, dy))?;
            Some(storage::tensor(sums, bias.shape())?)
        } else {
            None
        };
        Ok((dx, dw, db))
    }
}
