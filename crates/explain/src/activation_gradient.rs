use candle_core::Tensor;

use crate::{Result, Subject};

/// Activation and gradient of the targets' logits at the tap, `[B, C, h, w]` both.
pub(crate) struct ActivationGradient {
    pub(crate) activation: Vec<f32>,
    /// Empty for methods that need none.
    pub(crate) gradient: Vec<f32>,
    /// C, h and w.
    pub(crate) shape: [usize; 3],
}

/// Back-propagates each image's raw logit of its target to the tap.
///
/// ```text
/// G = ∂(Σ_n z[n, target_n]) / ∂A
/// ```
pub(crate) fn activation_gradient(
    subject: &Subject<'_>,
    target: &[i64],
) -> Result<ActivationGradient> {
    let gradient = subject.gradient_at_tap(&one_hot(subject, target)?)?;
    let gradient = ops::host(&gradient)?;
    Ok(ActivationGradient { gradient, ..activation(subject)? })
}

/// The activation alone.
pub(crate) fn activation(subject: &Subject<'_>) -> Result<ActivationGradient> {
    let (_, channels, height, width) = subject.activation().dims4()?;
    let activation = ops::host(subject.activation())?;
    let shape = [channels, height, width];
    Ok(ActivationGradient { activation, gradient: Vec::new(), shape })
}

/// 1 at each row's target, `[B, K]`.
pub(crate) fn one_hot(subject: &Subject<'_>, target: &[i64]) -> Result<Tensor> {
    let classes = subject.network.classes();
    let mut chosen = vec![0f32; target.len() * classes];
    for (row, &class) in chosen.chunks_exact_mut(classes).zip(target) {
        row[class as usize] = 1.0;
    }
    let device = subject.activation().device();
    Ok(Tensor::from_vec(chosen, (target.len(), classes), device)?)
}
