use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation_gradient,
    cam::{Join, cam},
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
        let at = activation_gradient(subject, target)?;
        Ok(cam(at, self.join, |_, activation, gradient| weigh(activation, gradient)))
    }
}

/// Weighs a channel `[h, w]` by its gradient.
pub(crate) fn weigh(activation: &mut [f32], gradient: &[f32]) {
    activation.iter_mut().zip(gradient).for_each(|(a, g)| {
        // not `max`, which would take a gradient that is no number for 0
        *a *= if *g <= 0.0 { 0.0 } else { *g };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_gradients_count_nothing_and_one_that_is_none_stays_visible() {
        let mut a = [2.0, 3.0, 4.0];
        weigh(&mut a, &[0.5, -1.0, f32::NAN]);
        assert_eq!(a[..2], [1.0, 0.0]);
        assert!(a[2].is_nan());
    }
}
