use ops::cam::Weighing;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    cam::{Join, weighed},
};

/// `HiResCAM` (Draelos and Carin, 2020): each place has a weight of its own.
///
/// ```text
/// map = Σ_c G_c ∘ A_c
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there.
#[derive(Clone, Copy, Debug, Default)]
pub struct HiResCam {
    pub(crate) join: Join,
}

impl Explainer for HiResCam {
    fn name(&self) -> &'static str {
        "hires-cam"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { head_backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        weighed(subject, target, self.join, Weighing::HiResCam)
    }
}
