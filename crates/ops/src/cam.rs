//! Class activation maps: the channels of an activation, weighed by their gradients and summed.
//!
//! On a GPU both stay there, and what leaves it is a number a place.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use crate::{gpu::host, storage::tensor_row_major};

/// Keeps a channel that is nowhere active from dividing by 0, in XGrad-CAM.
const ACTIVE: f64 = 1e-7;
/// Keeps a place without gradient from dividing by 0, in Grad-CAM++.
const STEEP: f64 = 1e-6;

/// What a channel A of an activation is multiplied by, given its gradient G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighing {
    /// The mean of G.
    GradCam,
    /// `Σ G∘A / (Σ A + 1e-7)`
    XGradCam,
    /// `Σ α∘max(G, 0)` with `α = G² / (2 G² + G³ ΣA + 1e-6)`
    GradCamPlusPlus,
    /// G itself, place by place.
    HiResCam,
    /// `max(G, 0)`, place by place.
    LayerCam,
}

impl Weighing {
    /// Weighs a channel, in place.
    ///
    /// Sums are taken in f64, so that their order hardly matters. What is no number stays visible.
    /// Places beyond those of the shorter of the two are left alone.
    ///
    /// # Shapes
    ///
    /// - `activation`, `gradient`: `[h, w]`
    ///
    /// # Examples
    ///
    /// ```
    /// use ops::cam::Weighing;
    ///
    /// // (1·2 + 3·6) / (1 + 3) = 5
    /// let mut channel = [1.0, 3.0, 0.0];
    /// Weighing::XGradCam.weigh(&mut channel, &[2.0, 6.0, 100.0]);
    /// assert_eq!(channel, [5.0, 15.0, 0.0]);
    /// ```
    pub fn weigh(self, activation: &mut [f32], gradient: &[f32]) {
        let weight = match self {
            Self::GradCam => sum(gradient.iter().copied()) / gradient.len() as f64,
            Self::XGradCam => {
                let products = activation.iter().zip(gradient).map(|(a, g)| a * g);
                sum(products) / (sum(activation.iter().copied()) + ACTIVE)
            }
            Self::GradCamPlusPlus => steep(sum(activation.iter().copied()), gradient),
            Self::HiResCam => {
                return activation.iter_mut().zip(gradient).for_each(|(a, g)| *a *= g);
            }
            Self::LayerCam => {
                return activation.iter_mut().zip(gradient).for_each(|(a, g)| {
                    // not `max`, which would take a gradient that is no number for 0
                    *a *= if *g <= 0.0 { 0.0 } else { *g };
                });
            }
        };
        scale(activation, weight as f32);
    }
}

/// The map of each image, `Σ_c w_c ∘ A_c`.
///
/// # Shapes
///
/// - `activation`, `gradient`: `[B, C, h, w]`
/// - result: `[B, h, w]`, f32
///
/// # Errors
///
/// If the two differ in shape, or are empty.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::cam::{Weighing, cam};
///
/// // two channels of two places; the means of the gradients are 2 and −0.5
/// let a = Tensor::new(&[[[[1f32, 2.0]], [[10.0, 20.0]]]], &Device::Cpu)?;
/// let g = Tensor::new(&[[[[3f32, 1.0]], [[-1.0, 0.0]]]], &Device::Cpu)?;
/// let map = cam(&a, &g, Weighing::GradCam)?;
/// assert_eq!(map.to_vec3::<f32>()?, [[[-3.0, -6.0]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cam(activation: &Tensor, gradient: &Tensor, weighing: Weighing) -> Result<Tensor> {
    let (batch, channels, height, width) = activation.dims4()?;
    if activation.shape() != gradient.shape() || activation.elem_count() == 0 {
        let (a, g) = (activation.shape(), gradient.shape());
        bail!("cam: expected an activation and its gradient, found {a:?} and {g:?}");
    }
    #[cfg(feature = "cuda")]
    if activation.device().is_cuda() {
        return cuda::cam(activation, gradient, weighing);
    }
    let (area, size) = (height * width, channels * height * width);
    let (mut activation, gradient) = (host(activation)?, host(gradient)?);
    let maps: Vec<_> = (activation.par_chunks_exact_mut(size))
        .zip(gradient.par_chunks_exact(size))
        .map(|(activation, gradient)| {
            let channels = activation.chunks_exact_mut(area);
            channels
                .zip(gradient.chunks_exact(area))
                .for_each(|(a, g)| weighing.weigh(a, g));
            summed(activation, area)
        })
        .collect();
    tensor_row_major(maps.concat(), (batch, height, width))
}

/// Multiplies a channel by its weight, `w_c A_c`.
///
/// ```
/// let mut channel = [1.0, 2.0];
/// ops::cam::scale(&mut channel, 0.5);
/// assert_eq!(channel, [0.5, 1.0]);
/// ```
pub fn scale(channel: &mut [f32], weight: f32) {
    for value in channel {
        *value *= weight;
    }
}

/// The sum of channels of `area` places each, `Σ_c A_c`.
///
/// # Shapes
///
/// - `channels`: `[C, area]`
/// - result: `[area]`
///
/// # Panics
///
/// If there are no places.
///
/// ```
/// assert_eq!(ops::cam::summed(&[1.0, 2.0, 3.0, 4.0], 2), [4.0, 6.0]);
/// ```
pub fn summed(channels: &[f32], area: usize) -> Vec<f32> {
    let mut map = vec![0f32; area];
    for channel in channels.chunks_exact(area) {
        map.iter_mut().zip(channel).for_each(|(sum, value)| *sum += value);
    }
    map
}

fn sum(values: impl Iterator<Item = f32>) -> f64 {
    values.map(f64::from).sum()
}

/// The weight of Grad-CAM++, of a channel whose activation has this sum.
fn steep(active: f64, gradient: &[f32]) -> f64 {
    let positive = gradient.iter().filter(|&&g| g > 0.0 || g.is_nan());
    let weights = positive.map(|&g| {
        let g = f64::from(g);
        g * g / (2.0 * g * g + active * g * g * g + STEEP) * g
    });
    weights.sum()
}
