use crate::{
    Explainer, Passes, Raw, Result, Subject,
    pixel_gradient::{magnitude, summed},
};

/// The plain gradient (Simonyan et al., 2014): how much each pixel moves the logit.
///
/// ```text
/// map = Σ over colours of |∂z[target] / ∂x|
/// ```
///
/// in the size of the image. (Simonyan et al. take the greatest of the colours; the sum is
/// what integrated gradients have here.)
#[derive(Clone, Copy, Debug)]
pub struct Gradient {
    /// Images that go through the network together.
    pub(crate) at_a_time: usize,
}

impl Explainer for Gradient {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn passes(&self, _: usize) -> Passes {
        Passes { forward: 2, backward: 1, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        let work = (1, self.at_a_time);
        let sums =
            summed(subject, target, work, |_| 1.0, |_, x, out| out.copy_from_slice(x))?;
        magnitude(subject, &sums)
    }
}
