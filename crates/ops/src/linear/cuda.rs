//! The fully connected layer on a GPU.

use candle_core::{DType, Result, Tensor};

use crate::{
    activation::Bounds,
    conv::{
        After,
        cuda::{follow, sums},
    },
    cuda::{Precision, precision},
    map::cuda::cast,
    node::Way,
};

/// `x w^T + b`, as f32; in bf16 the products' sums have been rounded to that.
pub(super) fn forward(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = factor(x)?.matmul(&factor(w)?.t()?)?;
    let y = cast(&y, DType::F32)?;
    follow(&y, After { shift: bias, added: None, bounds: Bounds::NONE })?;
    Ok(y)
}

/// `dx = dy w`, of the type that `x` has, `dw = dy^T x` and `db`, of those that are wanted.
pub(super) fn backward(
    dy: &Tensor,
    (x, w): (&Tensor, &Tensor),
    way: &Way<'_>,
) -> Result<Vec<Option<Tensor>>> {
    let dx = || cast(&factor(dy)?.matmul(&factor(w)?)?, x.dtype());
    let dw = || cast(&factor(dy)?.t()?.matmul(&factor(&way.rows_of(x)?)?)?, DType::F32);
    let mut gradients =
        vec![way.wants(0).then(dx).transpose()?, way.wants(1).then(dw).transpose()?];
    if let Some(bias) = way.argument(2) {
        gradients.push(bias.then(|| sums(dy)).transpose()?);
    }
    Ok(gradients)
}

/// A factor of a product as the precision has it.
fn factor(tensor: &Tensor) -> Result<Tensor> {
    let dtype = if precision() == Precision::Bf16 { DType::BF16 } else { DType::F32 };
    cast(tensor, dtype)
}
