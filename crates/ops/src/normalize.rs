//! The first layer of every model: pixels to the numbers it was trained on.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};

use crate::{
    Node, map,
    node::{Operator, Way},
    storage,
};

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
/// use ops::Node;
///
/// let x = Node::from(&Tensor::new(&[[[[1f32]], [[0.5]], [[0.25]]]], &Device::Cpu)?);
/// let y = ops::normalize(&x, &[0.5, 0.5, 0.0], &[0.25, 1.0, 0.5])?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2.0, 0.0, 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn normalize(x: &Node, mean: &[f32; 3], std: &[f32; 3]) -> Result<Node> {
    let (_, channels, _, _) = x.dims4()?;
    if channels != 3 {
        bail!("normalize: expected 3 channels, found {channels} in {:?}", x.shape());
    }
    if !std.iter().all(|s| s.is_finite() && *s > 0.0) {
        bail!("normalize: expected positive standard deviations, found {std:?}");
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let y = cuda::forward(x, mean, std)?;
        return Ok(Node::of(y, &[x], Normalize { std: *std }));
    }
    let values = x.dense()?;
    let values = storage::read(&values)?;
    let y =
        map::per_channel([&values], [mean, std], move |[x], [mean, std]| (x - mean) / std);
    Ok(Node::of(storage::tensor(y, x.shape())?, &[x], Normalize { std: *std }))
}

#[derive(Debug)]
struct Normalize {
    std: [f32; 3],
}

impl Operator for Normalize {
    fn backward(&self, dy: &Tensor, _: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        #[cfg(feature = "cuda")]
        if dy.device().is_cuda() {
            return Ok(vec![Some(cuda::backward(dy, &self.std)?)]);
        }
        let dx =
            map::per_channel([&storage::read(dy)?], [&self.std], move |[d], [std]| d / std);
        Ok(vec![Some(storage::tensor(dx, dy.shape())?)])
    }
}
