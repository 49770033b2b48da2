use ops::cam::Weighing;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    cam::{Join, weighed},
};

/// `LayerCAM` (Jiang et al., IEEE TIP 2021): a place counts where its own gradient is positive.
///
/// ```text
/// map = Σ_c max(G_c, 0) ∘ A_c
/// ```
///
/// with A the activation at the tap and G the gradient of the target's raw logit there.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerCam {
    pub(crate) join: Join,
}

impl Explainer for LayerCam {
    fn name(&self) -> &'static str {
        "layer-cam"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { head_backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        weighed(subject, target, self.join, Weighing::LayerCam)
    }
}
