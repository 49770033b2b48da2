use candle_core::Tensor;

use crate::{Result, Subject};

/// Activation and gradient of the targets' logits at the tap, `[B, C, h, w]` both.
pub(crate) struct ActivationGradient {
    pub(crate) activation: Vec<f32>,
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
    let (batch, channels, height, width) = subject.activation().dims4()?;
    let classes = subject.network.classes();
    let mut chosen = vec![0f32; batch * classes];
    for (row, &class) in chosen.chunks_exact_mut(classes).zip(target) {
        row[class as usize] = 1.0;
    }
    let chosen = Tensor::from_vec(chosen, (batch, classes), subject.activation().device())?;
    let gradient = subject.gradient_at_tap(&chosen)?;
    Ok(ActivationGradient {
        activation: ops::row_major(subject.activation())?.flatten_all()?.to_vec1()?,
        gradient: ops::row_major(&gradient)?.flatten_all()?.to_vec1()?,
        shape: [channels, height, width],
    })
}
