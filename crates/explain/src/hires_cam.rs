use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation_gradient,
    cam::{Join, cam},
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
        let at = activation_gradient(subject, target)?;
        Ok(cam(at, self.join, |_, activation, gradient| weigh(activation, gradient)))
    }
}

/// Weighs a channel `[h, w]` by its gradient.
pub(crate) fn weigh(activation: &mut [f32], gradient: &[f32]) {
    activation.iter_mut().zip(gradient).for_each(|(a, g)| *a *= g);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_the_weight_of_its_gradient() {
        let mut a = [2.0, 3.0, 4.0];
        weigh(&mut a, &[0.5, -1.0, 0.0]);
        assert_eq!(a, [1.0, -3.0, 0.0]);
    }
}
