use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation_gradient,
    cam::{Join, by_channel, sum},
};

/// Keeps a place without gradient from dividing by 0.
const EPSILON: f64 = 1e-6;

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
        Ok(by_channel(activation_gradient(subject, target)?, self.join, weight))
    }
}

/// Weight of a channel, of its activation and gradient `[h, w]`.
pub(crate) fn weight(activation: &[f32], gradient: &[f32]) -> f32 {
    let active = sum(activation.iter().copied());
    // what is no number is kept, and stays visible
    let positive = gradient.iter().filter(|&&g| g > 0.0 || g.is_nan());
    let weights = positive.map(|&g| {
        let g = f64::from(g);
        g * g / (2.0 * g * g + active * g * g * g + EPSILON) * g
    });
    weights.sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_counts_by_its_share() {
        // Σ A = 2; G = 1: 1 / (2 + 2) · 1; G = 2: 4 / (8 + 16) · 2; G < 0: nothing
        let w = weight(&[2.0, 0.0, 0.0], &[1.0, 2.0, -1.0]);
        assert!((w - (0.25 + 1.0 / 3.0)).abs() < 1e-6, "{w}");
    }

    #[test]
    fn a_channel_without_gradient_has_no_weight() {
        assert_eq!(weight(&[1.0, 2.0], &[0.0, 0.0]), 0.0);
        assert!(weight(&[1.0, 2.0], &[0.0, f32::NAN]).is_nan());
    }
}
