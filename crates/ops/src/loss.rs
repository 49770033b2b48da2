//! Losses of logits, one value per sample, for the caller to weight.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::{softmax, storage};

/// Logarithms of the probabilities of exclusive classes, `z_k - ln Σ exp(z_j)`.
///
/// # Shapes
///
/// - `logits`: `[N, K]`
/// - result: `[N, K]`
///
/// # Errors
///
/// If there are no classes.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let z = Tensor::new(&[[7f32, 7.0]], &Device::Cpu)?;
/// assert_eq!(ops::log_softmax(&z)?.to_vec2::<f32>()?, [[-2f32.ln(), -2f32.ln()]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let (_, classes) = shape(logits)?;
    logits.contiguous()?.apply_op1(LogSoftmax { classes })
}

/// Cross entropy of each sample with its class, `-ln softmax(z)_target`.
///
/// The gradient is `softmax(z)` less the one-hot target. It is computed from the *other*
/// classes where they are the small ones, so that it stays exact for a certain network.
///
/// # Shapes
///
/// - `logits`: `[N, K]`
/// - `target`: `N` classes in `0..K`
/// - result: `[N]`
///
/// # Errors
///
/// If there are not `N` targets, or one is not in `0..K`.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Var};
///
/// let z = Var::new(&[[0f32, 0.0]], &Device::Cpu)?;
/// let loss = ops::cross_entropy(&z, &[1])?;
/// assert_eq!(loss.to_vec1::<f32>()?, [2f32.ln()]);
/// let gradients = loss.backward()?;
/// assert_eq!(gradients.get(&z).unwrap().to_vec2::<f32>()?, [[0.5, -0.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy(logits: &Tensor, target: &[i64]) -> Result<Tensor> {
    let (samples, classes) = shape(logits)?;
    if target.len() != samples {
        bail!("cross_entropy: expected {samples} targets, found {}", target.len());
    }
    let label = |(i, t): (usize, &i64)| match usize::try_from(*t) {
        Ok(t) if t < classes => Ok(t),
        _ => bail!("cross_entropy: expected a class in 0..{classes}, found {t} at {i}"),
    };
    let labels = target.iter().enumerate().map(label).collect::<Result<_>>()?;
    logits.contiguous()?.apply_op1(CrossEntropy { classes, labels })
}

/// Binary cross entropy of each sample, the mean over its `K` independent labels.
///
/// ```text
/// mean over k of max(z, 0) - z t + ln(1 + exp(-|z|)),    derivative (sigmoid(z) - t) / K
/// ```
///
/// # Shapes
///
/// - `logits`: `[N, K]`
/// - `targets`: `[N, K]`, in \[0, 1\]; constants, no gradient reaches them
/// - result: `[N]`
///
/// # Errors
///
/// If the shapes differ or the targets are not f32.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let z = Tensor::new(&[[0f32, 100.0]], &Device::Cpu)?;
/// let t = Tensor::new(&[[1f32, 0.0]], &Device::Cpu)?;
/// let loss = ops::bce_with_logits(&z, &t)?.to_vec1::<f32>()?;
/// assert_eq!(loss, [(2f32.ln() + 100.0) / 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn bce_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let (_, classes) = shape(logits)?;
    if logits.shape() != targets.shape() {
        let (expected, found) = (logits.shape(), targets.shape());
        bail!("bce_with_logits: expected targets of shape {expected:?}, found {found:?}");
    }
    let targets = storage::with(targets, <[f32]>::to_vec)?;
    logits.contiguous()?.apply_op1(BinaryCrossEntropy { classes, targets })
}

fn shape(logits: &Tensor) -> Result<(usize, usize)> {
    let (samples, classes) = logits.dims2()?;
    if classes == 0 {
        bail!("expected logits of at least one class, found {:?}", logits.shape());
    }
    Ok((samples, classes))
}

/// The gradient of the logits, row by row, from that of the result.
fn backward(
    z: &Tensor,
    dy: &Tensor,
    classes: usize,
    row: impl Fn(usize, &[f32], &[f32], &mut Vec<f32>),
) -> Result<Option<Tensor>> {
    if !z.track_op() {
        return Ok(None);
    }
    let per_row = dy.elem_count() / z.dim(0)?.max(1);
    let dz = storage::with(z, |values| {
        storage::with(dy, |dy| {
            let mut dz = Vec::with_capacity(values.len());
            let rows = values.chunks(classes).zip(dy.chunks(per_row.max(1)));
            for (i, (z, d)) in rows.enumerate() {
                row(i, z, d, &mut dz);
            }
            dz
        })
    })??;
    storage::tensor(dz, z.shape()).map(Some)
}

struct LogSoftmax {
    classes: usize,
}

impl CustomOp1 for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let rows = storage::slice(storage, layout)?.chunks(self.classes);
        let y = rows.flat_map(|z| {
            // -ln p of the first class, and the others relative to it
            let first = softmax::surprise(z, 0);
            let shift = move |v: &f32| (f64::from(*v) - f64::from(z[0]) - first) as f32;
            z.iter().map(shift)
        });
        Ok((CpuStorage::F32(y.collect()), layout.shape().clone()))
    }

    fn bwd(&self, z: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        backward(z, dy, self.classes, |_, z, d, dz| {
            let total: f64 = d.iter().map(|d| f64::from(*d)).sum();
            let pairs = softmax::probabilities(z).into_iter().zip(d);
            dz.extend(pairs.map(|(p, d)| (f64::from(*d) - p * total) as f32));
        })
    }
}

struct CrossEntropy {
    classes: usize,
    labels: Vec<usize>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let rows = storage::slice(storage, layout)?.chunks(self.classes);
        let losses = rows.zip(&self.labels).map(|(z, t)| softmax::cross_entropy(z, *t));
        Ok((CpuStorage::F32(losses.collect()), self.labels.len().into()))
    }

    fn bwd(&self, z: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        backward(z, dy, self.classes, |i, z, d, dz| {
            let (mut p, label) = (softmax::probabilities(z), self.labels[i]);
            // p - 1 would lose its digits as p approaches 1
            p[label] = 0.0;
            p[label] = -p.iter().sum::<f64>();
            dz.extend(p.into_iter().map(|p| (p * f64::from(d[0])) as f32));
        })
    }
}

struct BinaryCrossEntropy {
    classes: usize,
    targets: Vec<f32>,
}

impl CustomOp1 for BinaryCrossEntropy {
    fn name(&self) -> &'static str {
        "bce_with_logits"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let rows = storage::slice(storage, layout)?.chunks(self.classes);
        let losses = rows.zip(self.targets.chunks(self.classes)).map(|(z, t)| {
            let pairs = z.iter().zip(t);
            let loss = pairs.map(|(z, t)| softmax::binary(f64::from(*z), f64::from(*t)));
            (loss.sum::<f64>() / self.classes as f64) as f32
        });
        let losses: Vec<f32> = losses.collect();
        let shape = losses.len().into();
        Ok((CpuStorage::F32(losses), shape))
    }

    fn bwd(&self, z: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        backward(z, dy, self.classes, |i, z, d, dz| {
            let scale = f64::from(d[0]) / self.classes as f64;
            let targets = &self.targets[i * self.classes..];
            dz.extend(z.iter().zip(targets).map(|(z, t)| {
                let (z, t) = (f64::from(*z), f64::from(*t));
                // sigmoid(z) - t, without taking 1 from what is nearly 1
                let difference = if t == 1.0 {
                    -softmax::logistic(-z)
                } else {
                    softmax::logistic(z) - t
                };
                (difference * scale) as f32
            }));
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_class_that_does_not_exist_is_refused() -> Result<()> {
        let z = Tensor::new(&[[0f32, 1.0], [0.0, 1.0]], &Device::Cpu)?;
        for (target, message) in [
            (vec![0, 2], "expected a class in 0..2, found 2 at 1"),
            (vec![-1, 0], "expected a class in 0..2, found -1 at 0"),
            (vec![0], "expected 2 targets, found 1"),
        ] {
            let error = cross_entropy(&z, &target).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_certain_network_still_has_a_gradient() -> Result<()> {
        let z = Var::new(&[[60f32, 0.0, 0.0]], &Device::Cpu)?;
        let gradients = cross_entropy(&z, &[0])?.backward()?;
        let dz = gradients.get(&z).unwrap().to_vec2::<f32>()?;
        let other = (-60f64).exp() as f32;
        assert_eq!(dz, [[-2.0 * other, other, other]]);

        let one = Tensor::new(&[[1f32]], &Device::Cpu)?;
        let z = Var::new(&[[60f32]], &Device::Cpu)?;
        let gradients = bce_with_logits(&z, &one)?.backward()?;
        assert_eq!(gradients.get(&z).unwrap().to_vec2::<f32>()?, [[-other]]);
        Ok(())
    }

    #[test]
    fn targets_of_another_shape_are_refused() -> Result<()> {
        let z = Tensor::new(&[[0f32, 1.0]], &Device::Cpu)?;
        assert!(bce_with_logits(&z, &z.t()?).is_err());
        Ok(())
    }
}
