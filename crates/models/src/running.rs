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
        now.mean = ops::blend(&now.mean, &batch.mean, MOMENTUM)?;
        now.variance = ops::blend(&now.variance, &batch.variance, MOMENTUM)?;
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

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_batch_counts_a_tenth() -> Result<()> {
        let of = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
        let (mean, variance) = (of([0.0, 10.0])?, of([1.0, 1.0])?);
        let running = Running::new(Statistics { mean, variance, batches: 4 });
        let (mean, variance) = (of([1.0, 0.0])?, of([1.0, 11.0])?);
        running.update(&Moments { mean, variance })?;
        let now = running.get();
        assert_eq!(now.mean.to_vec1::<f32>()?, [0.1, 9.0]);
        assert_eq!(now.variance.to_vec1::<f32>()?, [1.0, 2.0]);
        assert_eq!(now.batches, 5);
        Ok(())
    }
}
