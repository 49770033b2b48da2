use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation_gradient,
    cam::{Join, by_channel, sum},
};

/// Grad-CAM (Selvaraju et al., ICCV 2017; reference \[9\] of the paper).
///
/// ```text
/// w_c = mean over (i, j) of G[c, i, j],    map = Σ_c w_c A_c
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradCam {
    pub(crate) join: Join,
}

impl Explainer for GradCam {
    fn name(&self) -> &'static str {
        "grad-cam"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { head_backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        Ok(by_channel(activation_gradient(subject, target)?, self.join, weight))
    }
}

/// Weight of a channel, of its activation and gradient `[h, w]`.
pub(crate) fn weight(_: &[f32], gradient: &[f32]) -> f32 {
    (sum(gradient.iter().copied()) / gradient.len() as f64) as f32
}
