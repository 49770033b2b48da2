use ops::cam::Weighing;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    cam::{Join, weighed},
};

/// Eigen-CAM of activations times gradients (pytorch-grad-cam's `EigenGradCAM`): the first
/// principal component of what `HiResCAM` sums, which knows the class.
///
/// ```text
/// map = projection(G_c ∘ A_c)
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there.
#[derive(Clone, Copy, Debug, Default)]
pub struct EigenGradCam;

impl Explainer for EigenGradCam {
    fn name(&self) -> &'static str {
        "eigen-grad-cam"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { head_backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        weighed(subject, target, Join::Project, Weighing::HiResCam)
    }
}
