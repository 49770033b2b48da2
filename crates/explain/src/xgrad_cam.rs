use ops::cam::Weighing;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    cam::{Join, weighed},
};

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
        weighed(subject, target, self.join, Weighing::XGradCam)
    }
}
