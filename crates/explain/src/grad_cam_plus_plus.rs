use ops::cam::Weighing;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    cam::{Join, weighed},
};

/// Grad-CAM++ (Chattopadhay et al., WACV 2018).
///
/// ```text
/// α[c, i, j] = G² / (2 G² + G³ Σ_ab A[c, a, b] + 1e-6)   where G ≠ 0, else 0      (Eq. 19)
/// w_c = Σ_ij α[c, i, j] max(G[c, i, j], 0),    map = Σ_c w_c A_c                  (Eq. 7)
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there, as
/// pytorch-grad-cam has it. In the article G of Eq. (7) is that of the logit's exponential: a
/// factor of the whole map, which its normalisation takes out.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradCamPlusPlus {
    pub(crate) join: Join,
}

impl Explainer for GradCamPlusPlus {
    fn name(&self) -> &'static str {
        "grad-cam++"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { head_backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        weighed(subject, target, self.join, Weighing::GradCamPlusPlus)
    }
}
