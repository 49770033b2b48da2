//! Running statistics.

use candle_core::{Result, Tensor, bail};

use crate::storage;

/// Statistics that take in newer ones: `(1 - share) old + share new`, computed in f64.
///
/// # Shapes
///
/// - `old`, `new`: `[C]`
/// - result: `[C]`
///
/// # Errors
///
/// If the shapes differ.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let old = Tensor::new(&[1f32, 10.0], &Device::Cpu)?;
/// let new = Tensor::new(&[3f32, 0.0], &Device::Cpu)?;
/// assert_eq!(ops::blend(&old, &new, 0.5)?.to_vec1::<f32>()?, [2.0, 5.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn blend(old: &Tensor, new: &Tensor, share: f64) -> Result<Tensor> {
    let channels = old.dims1()?;
    if new.dims() != [channels] {
        let found = new.shape();
        bail!("blend: expected statistics of shape [{channels}], found {found:?}");
    }
    let (old, new) = (storage::dense(old)?, storage::dense(new)?);
    #[cfg(feature = "cuda")]
    if old.device().is_cuda() {
        return super::cuda::blend(&old, &new, share);
    }
    let (old, new) = (storage::read(&old)?, storage::read(&new)?);
    let mix = |(old, new): (&f32, &f32)| {
        ((1.0 - share) * f64::from(*old) + share * f64::from(*new)) as f32
    };
    storage::tensor(old.iter().zip(&*new).map(mix).collect(), channels)
}
