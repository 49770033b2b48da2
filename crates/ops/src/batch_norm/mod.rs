//! Batch normalisation, with the statistics of the batch or with given ones.

mod channel;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use crate::{map, storage};
use channel::{Channel, Gradients, Planes, gradients, parameters};

/// Mean and unbiased variance of each channel over one batch, for the running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Variance of each channel, divided by `n - 1`.
    pub variance: Vec<f32>,
}

/// Batch normalisation in training mode (Ioffe and Szegedy, 2015).
///
/// ```text
/// y = gamma (x - mean) / sqrt(variance + eps) + beta
/// ```
///
/// with mean and variance over the batch and the plane of each channel. As in `PyTorch`,
/// the variance that normalises is divided by `n = N H W`, the one returned by `n - 1`.
/// Sums are taken in f64, one channel after the other.
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`
/// - `gamma`, `beta`: `[C]`
/// - result: `[N, C, H, W]`
///
/// # Errors
///
/// If shapes disagree, or a channel has a single value, which has no variance.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[[[1f32, 3.0]]]], &Device::Cpu)?;
/// let (gamma, beta) = (Tensor::new(&[2f32], &Device::Cpu)?, Tensor::new(&[5f32], &Device::Cpu)?);
/// // mean 2, variance 1 (or 2 without bias)
/// let (y, moments) = ops::batch_norm(&x, &gamma, &beta, 0.0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [3.0, 7.0]);
/// assert_eq!((moments.mean, moments.variance), (vec![2.0], vec![2.0]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
) -> Result<(Tensor, Moments)> {
    let shape = Planes::of(x)?;
    for parameter in [gamma, beta] {
        shape.expect_channels(parameter)?;
    }
    let count = shape.batch * shape.plane;
    if count < 2 {
        let shape = x.shape();
        bail!("batch_norm: expected more than one value per channel, found {shape:?}");
    }
    let channels = Arc::new(OnceLock::new());
    let op = BatchStatistics { shape, eps, channels: Arc::clone(&channels) };
    let y = x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
    let Some(channels) = channels.get() else {
        bail!("batch_norm: the forward pass has left no statistics");
    };
    let unbiased = count as f64 / (count - 1) as f64;
    let moments = Moments {
        mean: channels.iter().map(|c| c.mean as f32).collect(),
        variance: channels.iter().map(|c| (c.variance * unbiased) as f32).collect(),
    };
    Ok((y, moments))
}

/// Batch normalisation in evaluation mode, with running statistics.
///
/// ```text
/// y = gamma (x - mean) / sqrt(variance + eps) + beta
/// ```
///
/// The statistics are constants; no gradient reaches them.
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`
/// - `gamma`, `beta`, `mean`, `variance`: `[C]`
/// - result: `[N, C, H, W]`
///
/// # Errors
///
/// If shapes disagree.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let of = |v: f32| Tensor::new(&[v], &Device::Cpu);
/// let x = Tensor::new(&[[[[1f32, 3.0]]]], &Device::Cpu)?;
/// let y = ops::batch_norm_eval(&x, &of(2.0)?, &of(5.0)?, &of(1.0)?, &of(4.0)?, 0.0)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5.0, 7.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn batch_norm_eval(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let shape = Planes::of(x)?;
    for parameter in [gamma, beta, mean, variance] {
        shape.expect_channels(parameter)?;
    }
    let (mean, variance) = storage::with(mean, |mean| {
        storage::with(variance, |variance| (mean.to_vec(), variance.to_vec()))
    })??;
    let channels = mean.iter().zip(&variance);
    let channels =
        channels.map(|(m, v)| Channel::new(f64::from(*m), f64::from(*v), eps)).collect();
    let op = GivenStatistics { shape, channels };
    x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)
}

struct BatchStatistics {
    shape: Planes,
    eps: f64,
    channels: Arc<OnceLock<Vec<Channel>>>,
}

impl CustomOp3 for BatchStatistics {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = storage::slice(x, x_layout)?;
        let gamma = storage::slice(gamma, gamma_layout)?;
        let beta = storage::slice(beta, beta_layout)?;
        let shape = self.shape;
        let (y, channels) = map::zip_channels((x, x), (shape.channels, shape.plane), |i| {
            let channel = Channel::of(x, shape, i, self.eps);
            let normalize = channel.normalize(gamma[i], beta[i]);
            (channel, move |x, _| normalize(x))
        });
        self.channels.set(channels).expect("an operator runs forward once");
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Gradients> {
        let channels = self.channels.get().expect("forward came first");
        let (shape, scales) = (self.shape, storage::with(gamma, <[f32]>::to_vec)?);
        let count = (shape.batch * shape.plane) as f64;
        let (dx, sums) = storage::with(x, |values| {
            storage::with(dy, |dy| {
                if !x.track_op() {
                    return (None, parameters(channels, dy, values, shape));
                }
                let layout = (shape.channels, shape.plane);
                let (dx, sums) = map::zip_channels((dy, values), layout, |i| {
                    let channel = channels[i];
                    let sums = channel.parameters(dy, values, shape, i);
                    let scale = (f64::from(scales[i]) * channel.inverse) as f32;
                    let mean = channel.mean as f32;
                    let shift = (sums.0 / count) as f32;
                    let slope = (sums.1 * channel.inverse / count) as f32;
                    (sums, move |d, x| scale * (d - shift - (x - mean) * slope))
                });
                (Some(dx), sums)
            })
        })??;
        gradients((x, gamma, beta), dx, &sums)
    }
}

struct GivenStatistics {
    shape: Planes,
    channels: Vec<Channel>,
}

impl CustomOp3 for GivenStatistics {
    fn name(&self) -> &'static str {
        "batch_norm_eval"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gamma = storage::slice(gamma, gamma_layout)?;
        let beta = storage::slice(beta, beta_layout)?;
        let x = storage::slice(x, x_layout)?;
        let y = map::map_planes(x, self.shape.plane, |i| {
            let i = i % self.shape.channels;
            self.channels[i].normalize(gamma[i], beta[i])
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Gradients> {
        let (shape, channels) = (self.shape, &self.channels);
        let scales = storage::with(gamma, <[f32]>::to_vec)?;
        let wanted = gamma.track_op() || beta.track_op();
        let (dx, sums) = storage::with(x, |values| {
            storage::with(dy, |dy| {
                let dx = x.track_op().then(|| {
                    map::map_planes(dy, shape.plane, |i| {
                        let i = i % shape.channels;
                        let scale = (f64::from(scales[i]) * channels[i].inverse) as f32;
                        move |d| d * scale
                    })
                });
                let sums = wanted.then(|| parameters(channels, dy, values, shape));
                (dx, sums.unwrap_or_default())
            })
        })??;
        gradients((x, gamma, beta), dx, &sums)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn a_single_value_per_channel_is_refused() -> Result<()> {
        let x = Tensor::zeros((1, 2, 1, 1), DType::F32, &Device::Cpu)?;
        let one = Tensor::ones(2, DType::F32, &Device::Cpu)?;
        let error = batch_norm(&x, &one, &one, 1e-5).unwrap_err().to_string();
        assert!(error.contains("more than one value per channel"), "{error}");
        batch_norm_eval(&x, &one, &one, &one, &one, 1e-5)?;
        Ok(())
    }

    #[test]
    fn parameters_of_another_length_are_refused() -> Result<()> {
        let x = Tensor::zeros((2, 3, 2, 2), DType::F32, &Device::Cpu)?;
        let good = Tensor::ones(3, DType::F32, &Device::Cpu)?;
        let bad = Tensor::ones(2, DType::F32, &Device::Cpu)?;
        assert!(batch_norm(&x, &good, &bad, 1e-5).is_err());
        assert!(batch_norm_eval(&x, &good, &good, &bad, &good, 1e-5).is_err());
        Ok(())
    }

    #[test]
    fn values_far_from_zero_keep_their_variance() -> Result<()> {
        let x = Tensor::new(&[[[[8_388_608f32, 8_388_609.0, 8_388_610.0]]]], &Device::Cpu)?;
        let one = Tensor::ones(1, DType::F32, &Device::Cpu)?;
        let (_, moments) = batch_norm(&x, &one, &one.zeros_like()?, 0.0)?;
        assert_eq!(moments.variance, [1.0]);
        assert_eq!(moments.mean, [8_388_609.0]);
        Ok(())
    }
}
