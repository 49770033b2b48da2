use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation_gradient,
    cam::{Join, by_channel, sum},
};

/// Keeps a channel that is nowhere active from dividing by 0.
const EPSILON: f64 = 1e-7;

/// XGrad-CAM (Fu et al., "Axiom-based Grad-CAM", BMVC 2020; reference \[41\] of the paper).
///
/// ```text
/// w_c = Σ_ij G[c, i, j] A[c, i, j] / (Σ_ij A[c, i, j] + 1e-7),    map = Σ_c w_c A_c
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there.
/// Where G is constant in a channel, as before global pooling and a linear classifier,
/// it is Grad-CAM.
#[derive(Clone, Copy, Debug, Default)]
pub struct XGradCam {
    pub(crate) join: Join,
}

impl Explainer for XGradCam {
    fn name(&self) -> &'static str {
        "xgrad-cam"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { head_backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        Ok(by_channel(activation_gradient(subject, target)?, self.join, weight))
    }
}

/// Weight of a channel, of its activation and gradient `[h, w]`.
pub(crate) fn weight(activation: &[f32], gradient: &[f32]) -> f32 {
    let products = activation.iter().zip(gradient).map(|(a, g)| a * g);
    (sum(products) / (sum(activation.iter().copied()) + EPSILON)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_count_where_the_channel_is_active() {
        // (1·2 + 3·6) / (1 + 3)
        let w = weight(&[1.0, 3.0, 0.0], &[2.0, 6.0, 100.0]);
        assert!((w - 5.0).abs() < 1e-6, "{w}");
    }

    #[test]
    fn a_channel_that_is_nowhere_active_has_no_weight() {
        assert_eq!(weight(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
    }
}
