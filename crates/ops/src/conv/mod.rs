//! 2-D convolution with exact gradients, dense, grouped and depthwise.
//!
//! Four ways, chosen by the shapes of one image alone: matrix products for 1 x 1 kernels
//! ([`pointwise`]), sixteen channels side by side for depthwise ones ([`depthwise`]),
//! [`winograd`] for large 3 x 3 ones, and for everything else, and for the other gradients of
//! weights, sums of shifted products over a flat copy of the input ([`flat`], [`products`]):
//! every tap of the kernel reads contiguous memory at one constant offset.

mod backward_data;
mod backward_weight;
mod depthwise;
mod depthwise_kernel;
mod epilogue;
mod flat;
mod forward;
mod geometry;
mod grid;
pub(crate) mod kernel;
mod pointwise;
mod pointwise_weight;
mod products;
pub(crate) mod shared;
mod winograd;
mod winograd_kernel;

use candle_core::{Result, Tensor};

use crate::{
    Activation, Fold, Node, Then,
    activation::{Bounds, passed},
    batch_norm::fold::Scaled,
    node::{Operator, Way},
    storage,
};
use epilogue::Epilogue;
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
    let (x_values, w_values) = (x.contiguous()?, w.contiguous()?);
    let bias_values = bias.map(Node::contiguous).transpose()?;
    let bounds = activation.bounds();
    let y = {
        let bias = bias_values.as_ref().map(storage::read).transpose()?;
        let epilogue =
            Epilogue { scale: None, shift: bias.as_deref(), added: None, bounds };
        forward(&geometry, &storage::read(&x_values)?, &storage::read(&w_values)?, epilogue)
    };
    let y = storage::tensor(y, geometry.result())?;
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
/// Equal, bit by bit, to the three after one another. Weights and `fold` are constants.
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
    let (x_values, w) = (x.contiguous()?, Node::from(w).contiguous()?);
    then.expect_shape(&geometry.result().into())?;
    let shortcut = then.shortcut.map(Node::contiguous).transpose()?;
    let bounds = then.activation.bounds();
    let y = {
        let added = shortcut.as_ref().map(storage::read).transpose()?;
        let (scale, shift) = (Some(&fold.scale[..]), Some(&fold.shift[..]));
        let epilogue = Epilogue { scale, shift, added: added.as_deref(), bounds };
        forward(&geometry, &storage::read(&x_values)?, &storage::read(&w)?, epilogue)
    };
    let y = storage::tensor(y, geometry.result())?;
    let end = Scaled {
        plane: geometry.output_plane(),
        scale: fold.scale.clone(),
        clipped: then.clipped(&y),
    };
    let operator = Folded { geometry, w, end };
    let mut arguments = vec![x];
    arguments.extend(then.shortcut);
    Ok(Node::of(y, &arguments, operator))
}

fn forward(geometry: &Geometry, x: &[f32], w: &[f32], epilogue: Epilogue<'_>) -> Vec<f32> {
    if let Some(dense) = geometry.without_stride() {
        pointwise::forward(&dense, &pointwise::subsampled(geometry, x), w, epilogue)
    } else if geometry.is_pointwise() {
        pointwise::forward(geometry, x, w, epilogue)
    } else if geometry.is_depthwise() {
        depthwise::forward(geometry, x, w, epilogue)
    } else if winograd::is_worthwhile(geometry) {
        winograd::forward(geometry, x, w, epilogue)
    } else {
        forward::forward(geometry, x, w, epilogue)
    }
}

/// Gradients of `x` and `w`, given for the gradient that is wanted.
fn backward(
    geometry: &Geometry,
    dy: &[f32],
    w_for_x: Option<&[f32]>,
    x_for_w: Option<&[f32]>,
) -> (Option<Vec<f32>>, Option<Vec<f32>>) {
    if let Some(dense) = geometry.without_stride() {
        let x = x_for_w.map(|x| pointwise::subsampled(geometry, x));
        let (dx, dw) = backward(&dense, dy, w_for_x, x.as_deref());
        return (dx.map(|dx| pointwise::spread(geometry, &dx)), dw);
    }
    if geometry.is_pointwise() {
        return (
            w_for_x.map(|w| pointwise::backward_data(geometry, dy, w)),
            x_for_w.map(|x| pointwise_weight::backward_weight(geometry, x, dy)),
        );
    }
    if geometry.is_depthwise() {
        return (
            w_for_x.map(|w| depthwise::backward_data(geometry, dy, w)),
            x_for_w.map(|x| depthwise::backward_weight(geometry, x, dy)),
        );
    }
    let fast = winograd::is_worthwhile(geometry);
    let dx = w_for_x.filter(|_| fast).map(|w| winograd::backward_data(geometry, dy, w));
    if dx.is_some() && x_for_w.is_none() || w_for_x.is_none() && x_for_w.is_none() {
        return (dx, None);
    }
    let dy = Flat::new(dy, &backward_data::gradient(geometry));
    (
        dx.or_else(|| w_for_x.map(|w| backward_data::backward_data(geometry, &dy, w))),
        x_for_w.map(|x| {
            let x = Flat::new(x, &forward::input(geometry));
            backward_weight::backward_weight(geometry, &x, &dy)
        }),
    )
}

#[derive(Debug)]
struct Convolution {
    geometry: Geometry,
    x: Tensor,
    w: Tensor,
    /// The result, if an activation made it, and the activation's bounds.
    clipped: Option<(Tensor, Bounds)>,
}

impl Operator for Convolution {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let geometry = self.geometry.of_batch(dy.dim(0)?);
        let passed = match &self.clipped {
            Some((y, bounds)) => Some(passed(&way.rows_of(y)?, dy, *bounds)?),
            None => None,
        };
        let dy = storage::read(passed.as_ref().unwrap_or(dy))?;
        let x = way.wants(1).then(|| way.rows_of(&self.x)).transpose()?;
        let x = x.as_ref().map(storage::read).transpose()?;
        let w = storage::read(&self.w)?;
        let (w_for_x, x_for_w) = (way.wants(0).then_some(&*w), x.as_deref());
        let (dx, dw) = backward(&geometry, &dy, w_for_x, x_for_w);
        let mut gradients = vec![
            dx.map(|dx| storage::tensor(dx, geometry.input())).transpose()?,
            dw.map(|dw| storage::tensor(dw, self.w.shape())).transpose()?,
        ];
        if let Some(bias) = way.argument(2) {
            let sums = || backward_weight::backward_bias(&geometry, &dy);
            let channels = geometry.result().1;
            gradients.push(bias.then(|| storage::tensor(sums(), channels)).transpose()?);
        }
        Ok(gradients)
    }
}

#[derive(Debug)]
struct Folded {
    geometry: Geometry,
    w: Tensor,
    end: Scaled,
}

impl Operator for Folded {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let mut gradients = vec![None];
        if way.wants(0) {
            let geometry = self.geometry.of_batch(dy.dim(0)?);
            let (w, dy) = (storage::read(&self.w)?, self.end.of_x(dy, way)?);
            let (dx, _) = backward(&geometry, &storage::read(&dy)?, Some(&w), None);
            gradients[0] =
                dx.map(|dx| storage::tensor(dx, geometry.input())).transpose()?;
        }
        if let Some(shortcut) = way.argument(1) {
            gradients.push(shortcut.then(|| self.end.of_shortcut(dy, way)).transpose()?);
        }
        Ok(gradients)
    }
}
