//! What a convolution does on the way back.

use candle_core::{Result, Tensor};

#[cfg(feature = "cuda")]
use super::cuda;
use super::{
    depthwise, epilogue::Epilogue, geometry::Geometry, narrow, product, weight, winograd,
    winograd_weight,
};
use crate::{
    activation::Bounds,
    node::{End, Operator, Way},
    storage, sums,
};

/// With weights that may be trained.
#[derive(Debug)]
pub(super) struct Convolution {
    pub(super) geometry: Geometry,
    pub(super) x: Tensor,
    pub(super) w: Tensor,
    /// The result, if an activation made it, and the activation's bounds.
    pub(super) clipped: Option<(Tensor, Bounds)>,
}

impl Operator for Convolution {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let geometry = self.geometry.of_batch(dy.dim(0)?);
        let dy = way.pass(self.clipped(), dy)?;
        let dx = || backward_data(&geometry, &dy, (&self.w, None), way);
        let dw = || backward_weight(&geometry, &way.rows_of(&self.x)?, &dy);
        let mut gradients =
            vec![way.wants(0).then(dx).transpose()?, way.wants(1).then(dw).transpose()?];
        if let Some(bias) = way.argument(2) {
            gradients.push(bias.then(|| backward_bias(&dy)).transpose()?);
        }
        Ok(gradients)
    }

    fn clipped(&self) -> Option<&(Tensor, Bounds)> {
        self.clipped.as_ref()
    }
}

/// With a batch normalisation folded in.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) geometry: Geometry,
    pub(super) w: Tensor,
    /// Of each output.
    pub(super) scale: Tensor,
    /// The result, if an activation made it, and the activation's bounds.
    pub(super) clipped: Option<(Tensor, Bounds)>,
}

impl Operator for Folded {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let geometry = self.geometry.of_batch(dy.dim(0)?);
        let dy = way.pass(self.clipped(), dy)?;
        let dx = || backward_data(&geometry, &dy, (&self.w, Some(&self.scale)), way);
        let mut gradients = vec![way.wants(0).then(dx).transpose()?];
        if let Some(shortcut) = way.argument(1) {
            gradients.push(shortcut.then(|| dy.clone()));
        }
        Ok(gradients)
    }

    fn clipped(&self) -> Option<&(Tensor, Bounds)> {
        self.clipped.as_ref()
    }
}

/// The gradient of `x`, with the weights `[O, C / groups, Kh, Kw]` of each output multiplied by
/// its scale.
fn backward_data(
    geometry: &Geometry,
    dy: &Tensor,
    (w, scale): (&Tensor, Option<&Tensor>),
    way: &Way<'_>,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if dy.device().is_cuda() {
        return cuda::backward_data(geometry, dy, (w, scale), &way.take_end()?);
    }
    let scale = scale.map(storage::read).transpose()?;
    let (dy, w) = (storage::read(dy)?, storage::read_row_major(w)?);
    let (dy, w) = (&dy[..], (&w[..], scale.as_deref()));
    let dx = if !geometry.is_depthwise() && narrow::is_worthwhile(geometry) {
        narrow::backward_data(geometry, dy, w)
    } else {
        let End { added, clipped } = way.take_end()?;
        let added = added.as_ref().map(storage::read).transpose()?;
        let bounds = clipped.as_ref().map(|(_, bounds)| *bounds);
        let y = clipped.as_ref().map(|(y, _)| storage::read(y)).transpose()?;
        let (added, clipped) = (added.as_deref(), y.as_deref().zip(bounds));
        let epilogue = Epilogue { added, clipped, ..Epilogue::NONE };
        if geometry.is_depthwise() {
            depthwise::backward_data(geometry, dy, w, epilogue)
        } else if winograd::is_worthwhile(geometry) {
            winograd::backward_data(geometry, dy, w, epilogue)
        } else {
            product::backward_data(geometry, dy, w, epilogue)
        }
    };
    storage::tensor(dx, geometry.input())
}

/// The gradient of the weights, in their order.
fn backward_weight(geometry: &Geometry, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if dy.device().is_cuda() {
        return cuda::backward_weight(geometry, x, dy);
    }
    let (x, dy) = (storage::read(x)?, storage::read(dy)?);
    let dw = if geometry.is_depthwise() {
        depthwise::backward_weight(geometry, &x, &dy)
    } else if winograd_weight::is_worthwhile(geometry) {
        winograd_weight::backward_weight(geometry, &x, &dy)
    } else {
        weight::backward_weight(geometry, &x, &dy)
    };
    storage::tensor_row_major(dw, geometry.weights())
}

/// The gradient of a bias: the sum of each channel.
fn backward_bias(dy: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if dy.device().is_cuda() {
        return cuda::sums(dy);
    }
    let channels = dy.dim(1)?;
    let dy = storage::read(dy)?;
    let sums = sums::per_channel([&dy], [], channels, move |[d], []| (d, 0.0));
    storage::tensor(sums.iter().map(|sum| sum.0 as f32).collect(), channels)
}
