use ops::cam::Weighing;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    cam::{Join, weighed},
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
        weighed(subject, target, self.join, Weighing::GradCam)
    }
}
