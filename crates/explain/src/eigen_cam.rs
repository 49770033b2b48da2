use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation,
    cam::{Join, cam},
};

/// Eigen-CAM (Muhammad and Yeasin, IJCNN 2020; in the paper's Table I): the first principal
/// component of the activations at the tap, whatever the target.
///
/// ```text
/// map = projection(A_c)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EigenCam;

impl Explainer for EigenCam {
    fn name(&self) -> &'static str {
        "eigen-cam"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes::PREDICTION
    }

    fn maps(&self, subject: &Subject<'_>, _: &[i64]) -> Result<Raw> {
        Ok(cam(activation(subject)?, Join::Project, |_, _, _| ()))
    }
}
