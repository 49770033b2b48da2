//! Losses of logits, one value per sample, for the caller to weight.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor, bail};

use crate::{
    Node,
    node::{Operator, Way},
    softmax, storage,
};

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
/// use candle_core::{Device, Tensor};
/// use ops::Node;
///
/// let z = Tensor::new(&[[0f32, 0.0]], &Device::Cpu)?;
/// let loss = ops::cross_entropy(&Node::variable(&z), &[1])?;
/// assert_eq!(loss.to_vec1::<f32>()?, [2f32.ln()]);
/// let gradients = loss.backward(&Tensor::new(&[1f32], &Device::Cpu)?)?;
/// assert_eq!(gradients.get(&z).unwrap().to_vec2::<f32>()?, [[0.5, -0.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn cross_entropy(logits: &Node, target: &[i64]) -> Result<Node> {
    let (samples, classes) = shape(logits)?;
    if target.len() != samples {
        bail!("cross_entropy: expected {samples} targets, found {}", target.len());
    }
    let label = |(i, t): (usize, &i64)| match usize::try_from(*t) {
        Ok(t) if t < classes => Ok(t),
        _ => bail!("cross_entropy: expected a class in 0..{classes}, found {t} at {i}"),
    };
    let labels = target.iter().enumerate().map(label).collect::<Result<Vec<_>>>()?;
    let z = logits.dense()?;
    #[cfg(feature = "cuda")]
    if z.device().is_cuda() {
        let (losses, operator) = cuda::cross_entropy(z, &labels)?;
        return Ok(Node::of(losses, &[logits], operator));
    }
    let losses = {
        let values = storage::read(&z)?;
        let rows = values.chunks(classes).zip(&labels);
        rows.map(|(z, t)| softmax::cross_entropy(z, *t)).collect()
    };
    let losses = storage::tensor(losses, samples)?;
    Ok(Node::of(losses, &[logits], CrossEntropy { z, labels }))
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
/// use ops::Node;
///
/// let z = Node::from(&Tensor::new(&[[0f32, 100.0]], &Device::Cpu)?);
/// let t = Tensor::new(&[[1f32, 0.0]], &Device::Cpu)?;
/// let loss = ops::bce_with_logits(&z, &t)?.to_vec1::<f32>()?;
/// assert_eq!(loss, [(2f32.ln() + 100.0) / 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn bce_with_logits(logits: &Node, targets: &Tensor) -> Result<Node> {
    let (samples, classes) = shape(logits)?;
    if logits.shape() != targets.shape() {
        let (expected, found) = (logits.shape(), targets.shape());
        bail!("bce_with_logits: expected targets of shape {expected:?}, found {found:?}");
    }
    let (z, targets) = (logits.dense()?, targets.contiguous()?);
    #[cfg(feature = "cuda")]
    if z.device().is_cuda() {
        let (losses, operator) = cuda::binary(z, &targets)?;
        return Ok(Node::of(losses, &[logits], operator));
    }
    let losses = {
        let (z, t) = (storage::read(&z)?, storage::read(&targets)?);
        let loss = |(z, t): (&[f32], &[f32])| {
            let pairs = z.iter().zip(t);
            let loss = pairs.map(|(z, t)| softmax::binary(f64::from(*z), f64::from(*t)));
            (loss.sum::<f64>() / classes as f64) as f32
        };
        z.chunks(classes).zip(t.chunks(classes)).map(loss).collect()
    };
    let losses = storage::tensor(losses, samples)?;
    Ok(Node::of(losses, &[logits], BinaryCrossEntropy { z, targets }))
}

fn shape(logits: &Tensor) -> Result<(usize, usize)> {
    let (samples, classes) = logits.dims2()?;
    if classes == 0 {
        bail!("expected logits of at least one class, found {:?}", logits.shape());
    }
    Ok((samples, classes))
}

/// The gradient of the logits, row by row, from that of the losses.
fn backward(
    z: &Tensor,
    dy: &Tensor,
    row: impl Fn(usize, &[f32], f64) -> Vec<f32>,
) -> Result<Vec<Option<Tensor>>> {
    let (_, classes) = shape(z)?;
    let dz = {
        let (z, dy) = (storage::read(z)?, storage::read(dy)?);
        let rows = z.chunks(classes).zip(&*dy).enumerate();
        rows.flat_map(|(i, (z, d))| row(i, z, f64::from(*d))).collect()
    };
    Ok(vec![Some(storage::tensor(dz, z.shape())?)])
}

#[derive(Debug)]
struct CrossEntropy {
    z: Tensor,
    labels: Vec<usize>,
}

impl Operator for CrossEntropy {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("cross_entropy")?;
        backward(&self.z, dy, |i, z, d| {
            let (mut p, label) = (softmax::probabilities(z), self.labels[i]);
            // p - 1 would lose its digits as p approaches 1
            p[label] = 0.0;
            p[label] = -p.iter().sum::<f64>();
            p.into_iter().map(|p| (p * d) as f32).collect()
        })
    }
}

#[derive(Debug)]
struct BinaryCrossEntropy {
    z: Tensor,
    targets: Tensor,
}

impl Operator for BinaryCrossEntropy {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        way.expect_all_rows("bce_with_logits")?;
        let targets = storage::read(&self.targets)?;
        backward(&self.z, dy, |i, z, d| {
            let scale = d / z.len() as f64;
            let pairs = z.iter().zip(&targets[i * z.len()..]);
            let gradient = pairs.map(|(z, t)| {
                let (z, t) = (f64::from(*z), f64::from(*t));
                // sigmoid(z) - t, without taking 1 from what is nearly 1
                let difference = if t == 1.0 {
                    -softmax::logistic(-z)
                } else {
                    softmax::logistic(z) - t
                };
                (difference * scale) as f32
            });
            gradient.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_class_that_does_not_exist_is_refused() -> Result<()> {
        let z = Node::from(&Tensor::new(&[[0f32, 1.0], [0.0, 1.0]], &Device::Cpu)?);
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
        let seed = Tensor::new(&[1f32], &Device::Cpu)?;
        let z = Tensor::new(&[[60f32, 0.0, 0.0]], &Device::Cpu)?;
        let gradients = cross_entropy(&Node::variable(&z), &[0])?.backward(&seed)?;
        let dz = gradients.get(&z).unwrap().to_vec2::<f32>()?;
        let other = (-60f64).exp() as f32;
        assert_eq!(dz, [[-2.0 * other, other, other]]);

        let one = Tensor::new(&[[1f32]], &Device::Cpu)?;
        let z = Tensor::new(&[[60f32]], &Device::Cpu)?;
        let gradients = bce_with_logits(&Node::variable(&z), &one)?.backward(&seed)?;
        assert_eq!(gradients.get(&z).unwrap().to_vec2::<f32>()?, [[-other]]);
        Ok(())
    }

    #[test]
    fn targets_of_another_shape_are_refused() -> Result<()> {
        let z = Tensor::new(&[[0f32, 1.0]], &Device::Cpu)?;
        assert!(bce_with_logits(&Node::from(&z), &z.t()?).is_err());
        Ok(())
    }
}
