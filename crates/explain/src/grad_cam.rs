use crate::{
    Explainer, Raw, Result, Subject,
    activation_gradient::activation_gradient,
    cam::{cam, sum},
};

/// Grad-CAM (Selvaraju et al., ICCV 2017; reference \[9\] of the paper).
///
/// ```text
/// w_c = mean over (i, j) of G[c, i, j],    map = Σ_c w_c A_c
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradCam;

impl Explainer for GradCam {
    fn name(&self) -> &'static str {
        "grad-cam"
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        Ok(cam(&activation_gradient(subject, target)?, weight))
    }
}

/// Weight of a channel, of its activation and gradient `[h, w]`.
pub(crate) fn weight(_: &[f32], gradient: &[f32]) -> f32 {
    (sum(gradient.iter().copied()) / gradient.len() as f64) as f32
}
