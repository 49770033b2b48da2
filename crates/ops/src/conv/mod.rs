//! 2-D convolution with exact gradients, dense, grouped and depthwise.
//!
//! Values lie with their channels last. A convolution is then a product of rows, the patches
//! that its results read ([`patch`]), with its weights ([`panels`], [`product`], [`weight`]). Some do
//! better: [`depthwise`] ones, large 3 x 3 ones by [`winograd`], gradients of images by
//! [`narrow`]. Which way is taken depends on the shapes of one image alone; how its work is
//! cut changes no sum.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod depthwise;
mod depthwise_kernel;
mod depthwise_products;
mod epilogue;
mod geometry;
mod kernel;
mod lattice;
mod narrow;
mod operator;
mod panels;
mod patch;
mod product;
mod scratch;
pub(crate) mod vectors;
mod weight;
mod winograd;
mod winograd_kernel;
mod winograd_transform;
mod winograd_weight;

use candle_core::{Result, Tensor};

use crate::{Activation, Fold, Node, Then, activation::Bounds, storage};
use epilogue::Epilogue;
use geometry::Geometry;
use operator::{Convolution, Folded};

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
/// `[N, O, (H + 2p - d (Kh - 1) - 1) / s + 1, ...]`. All f32 on the CPU; on a GPU values may be bf16.
///
/// # Errors
///
/// If the shapes do not fit together, or for another type or device.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Conv2d, Node, conv2d};
///
/// let x = Node::from(&Tensor::new(&[[[[1f32, 2.0, 3.0]]]], &Device::Cpu)?);
/// let w = Node::from(&Tensor::new(&[[[[1f32, 10.0]]]], &Device::Cpu)?);
/// let y = conv2d(&x, &w, None, Conv2d::default())?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [21.0, 32.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(x: &Node, w: &Node, bias: Option<&Node>, conv: Conv2d) -> Result<Node> {
    conv2d_activated(x, w, bias, conv, Activation::Identity)
}

/// The `activation` of [`conv2d`], in the same pass over memory.
///
/// # Errors
///
/// As [`conv2d`].
pub fn conv2d_activated(
    x: &Node,
    w: &Node,
    bias: Option<&Node>,
    conv: Conv2d,
    activation: Activation,
) -> Result<Node> {
    let bias_dims = bias.map(|bias| bias.dims());
    let geometry = Geometry::new(x.dims(), w.dims(), bias_dims, conv)?;
    let (x_values, w_values) = (x.dense()?, storage::row_major(w)?);
    let bias_values = bias.map(Node::dense).transpose()?;
    let then =
        After { shift: bias_values.as_ref(), added: None, bounds: activation.bounds() };
    let y = forward(&geometry, &x_values, (&w_values, None), then)?;
    let clipped = Then { activation, ..Then::NOTHING }.clipped(&y);
    let operator = Convolution { geometry, x: x_values, w: w_values, clipped };
    let mut arguments = vec![x, w];
    arguments.extend(bias);
    Ok(Node::of(y, &arguments, operator))
}

/// A convolution with the batch normalisation after it folded in, and what follows that.
///
/// ```text
/// y = activation(scale conv2d(x, w) + shift + shortcut)
/// ```
///
/// The result is equal, bit by bit, to the three after one another; the gradient of `x` up to
/// rounding, as the scale is multiplied with the weights. Weights and `fold` are constants.
///
/// # Shapes
///
/// As [`conv2d`]; `fold` is of `O` channels, `shortcut` has the shape of the result.
///
/// # Errors
///
/// If the shapes do not fit together, or for another type or device.
pub fn conv2d_folded(
    x: &Node,
    w: &Tensor,
    conv: Conv2d,
    fold: &Fold,
    then: Then<'_>,
) -> Result<Node> {
    let geometry = Geometry::new(x.dims(), w.dims(), Some(&[fold.channels()]), conv)?;
    let (x_values, w) = (x.dense()?, storage::row_major(w)?);
    then.expect_shape(&geometry.result().into())?;
    let shortcut = then.shortcut.map(Node::dense).transpose()?;
    let bounds = then.activation.bounds();
    let after = After { shift: Some(&fold.shift), added: shortcut.as_ref(), bounds };
    let y = forward(&geometry, &x_values, (&w, Some(&fold.scale)), after)?;
    let (scale, clipped) = (fold.scale.clone(), then.clipped(&y));
    let operator = Folded { geometry, w, scale, clipped };
    let mut arguments = vec![x];
    arguments.extend(then.shortcut);
    Ok(Node::of(y, &arguments, operator))
}

/// What follows a convolution: `clip(y + shift[channel] + added)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct After<'a> {
    /// Of each output; the bias, or that of a folded batch normalisation.
    pub(crate) shift: Option<&'a Tensor>,
    /// In the shape of the result.
    pub(crate) added: Option<&'a Tensor>,
    pub(crate) bounds: Bounds,
}

/// The result, with weights `[O, C / groups, Kh, Kw]` of which each output's are multiplied by
/// its scale.
fn forward(
    geometry: &Geometry,
    x: &Tensor,
    (w, scale): (&Tensor, Option<&Tensor>),
    after: After<'_>,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::forward(geometry, x, (w, scale), after);
    }
    let scale = scale.map(storage::read).transpose()?;
    let shift = after.shift.map(storage::read).transpose()?;
    let added = after.added.map(storage::read).transpose()?;
    let epilogue = Epilogue {
        scale: scale.as_deref(),
        shift: shift.as_deref(),
        added: added.as_deref(),
        bounds: after.bounds,
        clipped: None,
    };
    let (x, w) = (storage::read(x)?, storage::read_row_major(w)?);
    let y = if geometry.is_depthwise() {
        depthwise::forward(geometry, &x, &w, epilogue)
    } else if winograd::is_worthwhile(geometry) {
        winograd::forward(geometry, &x, &w, epilogue)
    } else {
        product::forward(geometry, &x, &w, epilogue)
    };
    storage::tensor(y, geometry.result())
}
