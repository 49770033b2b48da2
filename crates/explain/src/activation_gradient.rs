use candle_core::{Tensor, Var};
use models::Mode;

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
///
/// In evaluation mode an image's logits depend on its own activation alone, so that one
/// pass serves the batch. The gradients of parameters are not computed.
pub(crate) fn activation_gradient(
    subject: &Subject<'_>,
    target: &[i64],
) -> Result<ActivationGradient> {
    let (_, channels, height, width) = subject.activation.dims4()?;
    // candle drops the gradients of what is not a variable
    let activation = Var::from_tensor(&subject.activation)?;
    let logits = subject.network.head(activation.as_tensor(), subject.tap, Mode::Eval)?;
    let (batch, classes) = logits.dims2()?;

    let mut chosen = vec![0f32; batch * classes];
    for (row, &class) in chosen.chunks_exact_mut(classes).zip(target) {
        row[class as usize] = 1.0;
    }
    let chosen = Tensor::from_vec(chosen, (batch, classes), logits.device())?;
    let gradients = (logits * chosen)?.sum_all()?.backward()?;
    let gradient = gradients.get(&activation).expect("the logits depend on the activation");
    Ok(ActivationGradient {
        activation: subject.activation.flatten_all()?.to_vec1()?,
        gradient: gradient.flatten_all()?.to_vec1()?,
        shape: [channels, height, width],
    })
}
