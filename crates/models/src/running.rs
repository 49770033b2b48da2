//! Running statistics of a batch normalisation, as PyTorch keeps them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{Result, Tensor};
use ops::Moments;

/// Weight of the newest batch, PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// What a batch normalisation has seen in training; shared, and changed through `&self`.
pub(crate) struct Running(Mutex<Statistics>);

/// The buffers of `BatchNorm2d`.
#[derive(Clone)]
pub(crate) struct Statistics {
    /// `running_mean`, `[C]`.
    pub(crate) mean: Tensor,
    /// `running_var`, `[C]`.
    pub(crate) variance: Tensor,
    /// `num_batches_tracked`.
    pub(crate) batches: i64,
}

impl Running {
    pub(crate) fn new(statistics: Statistics) -> Self {
        Self(Mutex::new(statistics))
    }

    /// The statistics as they are now.
    pub(crate) fn get(&self) -> Statistics {
        self.lock().clone()
    }

    /// Takes in a batch: r ← 0.9·r + 0.1·batch, with the unbiased variance.
    pub(crate) fn update(&self, batch: &Moments) -> Result<()> {
        let mut now = self.lock();
        now.mean = blend(&now.mean, &batch.mean)?;
        now.variance = blend(&now.variance, &batch.variance)?;
        now.batches += 1;
        Ok(())
    }

    /// Forgets what was seen for these statistics.
    pub(crate) fn set(&self, statistics: Statistics) {
        *self.lock() = statistics;
    }

    fn lock(&self) -> MutexGuard<'_, Statistics> {
        // each field is replaced whole, so a panic elsewhere cannot leave half a value
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blend(old: &Tensor, new: &[f32]) -> Result<Tensor> {
    let mix = |(old, &new): (f32, &f32)| {
        ((1.0 - MOMENTUM) * f64::from(old) + MOMENTUM * f64::from(new)) as f32
    };
    let mixed: Vec<f32> = old.to_vec1::<f32>()?.into_iter().zip(new).map(mix).collect();
    Tensor::from_vec(mixed, old.shape(), old.device())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_batch_counts_a_tenth() -> Result<()> {
        let mean = Tensor::new(&[0f32, 10.0], &Device::Cpu)?;
        let variance = Tensor::new(&[1f32, 1.0], &Device::Cpu)?;
        let running = Running::new(Statistics { mean, variance, batches: 4 });
        running.update(&Moments { mean: vec![1.0, 0.0], variance: vec![1.0, 11.0] })?;
        let now = running.get();
        assert_eq!(now.mean.to_vec1::<f32>()?, [0.1, 9.0]);
        assert_eq!(now.variance.to_vec1::<f32>()?, [1.0, 2.0]);
        assert_eq!(now.batches, 5);
        Ok(())
    }
}
