//! What is learnt of a sample: its loss, or less of it the surer the network is.

use artifact::Labels;
use candle_core::{DType, Result, Tensor};
use consistency::Pull;

use crate::args::{LossName, Recipe};

/// The loss that is minimised, during an epoch.
pub(crate) enum Objective {
    /// The loss of each sample as it is.
    Plain,
    /// The focal loss.
    Focal { gamma: f64 },
    /// The equalized focal loss, and how each class was pulled so far.
    ///
    /// Its authors sum from the beginning of training; here each epoch begins anew, with every
    /// class at γ, so that training goes on from files that know nothing of it.
    EqualizedFocal { gamma: f64, pulls: Vec<Pull> },
}

/// Losses of a batch, and what each grows by with its cross entropy; `[B]` both.
pub(crate) struct Focused {
    pub(crate) values: Tensor,
    pub(crate) slopes: Tensor,
}

impl Objective {
    pub(crate) fn new(recipe: &Recipe, classes: usize) -> Self {
        let gamma = recipe.gamma.unwrap_or(2.0);
        match recipe.loss {
            LossName::CrossEntropy => Self::Plain,
            LossName::Focal => Self::Focal { gamma },
            LossName::EqualizedFocal => {
                Self::EqualizedFocal { gamma, pulls: vec![Pull::default(); classes] }
            }
        }
    }

    /// Whether a step depends on what the one before has found.
    pub(crate) fn looks_back(&self) -> bool {
        matches!(self, Self::EqualizedFocal { .. })
    }

    /// What becomes of the cross entropies of a batch; nothing, if they stay what they are.
    pub(crate) fn focus(
        &self,
        losses: &Tensor,
        labels: &Labels,
    ) -> Result<Option<Focused>> {
        let gammas = match (self, labels) {
            (Self::Focal { gamma }, _) => vec![*gamma; labels.len()],
            (Self::EqualizedFocal { gamma, pulls }, Labels::Single(labels)) => {
                labels.iter().map(|&y| pulls[y as usize].gamma(*gamma)).collect()
            }
            _ => return Ok(None),
        };
        let base = match self {
            Self::EqualizedFocal { gamma, .. } => Some(*gamma),
            _ => None,
        };
        focused(losses, &gammas, base).map(Some)
    }

    /// Takes account of what the network said of a batch.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[B, K]`
    pub(crate) fn see(&mut self, logits: &[f32], labels: &Labels) {
        let (Self::EqualizedFocal { pulls, .. }, Labels::Single(labels)) = (self, labels)
        else {
            return;
        };
        for (z, &label) in logits.chunks_exact(pulls.len()).zip(labels) {
            let highest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exp = |z: &f32| f64::from(z - highest).exp();
            let sum: f64 = z.iter().map(exp).sum();
            for (class, (z, pull)) in z.iter().zip(pulls.iter_mut()).enumerate() {
                let p = exp(z) / sum;
                if class as i64 == label {
                    pull.up += 1.0 - p;
                } else {
                    pull.down += p;
                }
            }
        }
    }
}

/// The focal loss (Lin et al., 2017) of cross entropies L, with the factor `γ_y / γ` of the
/// equalized one (Li et al., 2022) if there is a `base` γ.
///
/// ```text
/// FL = (1 − p)^γ_y L,    p = exp(−L)
/// dFL/dL = (1 − p)^γ_y + γ_y (1 − p)^(γ_y − 1) p L
/// ```
fn focused(losses: &Tensor, gammas: &[f64], base: Option<f64>) -> Result<Focused> {
    let on_device = |values: &mut dyn Iterator<Item = f64>| {
        Tensor::from_iter(values.map(|v| v as f32), losses.device())
    };
    let losses = losses.to_dtype(DType::F32)?;
    let gamma = on_device(&mut gammas.iter().copied())?;
    let p = losses.neg()?.exp()?;
    // so small that its powers are 0 where they should be, and its logarithm is a number
    let q = p.affine(-1.0, 1.0)?.maximum(f64::from(f32::MIN_POSITIVE))?;
    let before = ((&gamma - 1.0)? * q.log()?)?.exp()?;
    let factor = (&before * &q)?;
    let mut values = (&factor * &losses)?;
    let mut slopes = (factor + (gamma * before)?.mul(&(p * losses)?)?)?;
    if let Some(base) = base {
        let scale = on_device(&mut gammas.iter().map(|gamma| gamma / base))?;
        values = (values * &scale)?;
        slopes = (slopes * scale)?;
    }
    Ok(Focused { values, slopes })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn of(losses: &[f32], gammas: &[f64], base: Option<f64>) -> [Vec<f32>; 2] {
        let losses = Tensor::new(losses, &Device::Cpu).unwrap();
        let Focused { values, slopes } = focused(&losses, gammas, base).unwrap();
        [values, slopes].map(|tensor| tensor.to_vec1().unwrap())
    }

    fn assert_close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f64::from(*f) - e).abs() <= 1e-6 * e.abs().max(1.0), "{f}, not {e}");
        }
    }

    #[test]
    fn half_sure_counts_a_quarter() {
        // p = 1/2: (1/2)² ln 2, and 1/4 + 2 · 1/2 · 1/2 · ln 2
        let ln2 = 2f64.ln();
        let [values, slopes] = of(&[ln2 as f32], &[2.0], None);
        assert_close(&values, &[0.25 * ln2]);
        assert_close(&slopes, &[0.25 + 0.5 * ln2]);
        // twice the base: (1/2)⁴, doubled
        let [values, _] = of(&[ln2 as f32], &[4.0], Some(2.0));
        assert_close(&values, &[0.125 * ln2]);
    }

    #[test]
    fn the_slopes_are_those_of_central_differences() {
        let at = |loss: f64, gamma: f64| (1.0 - (-loss).exp()).powf(gamma) * loss;
        for gamma in [0.5, 1.0, 2.0, 8.4] {
            for loss in [0.01, 0.3, 1.0, 5.0, 40.0] {
                let [_, slopes] = of(&[loss as f32], &[gamma], None);
                let h = 1e-5 * loss;
                let slope = (at(loss + h, gamma) - at(loss - h, gamma)) / (2.0 * h);
                assert!((f64::from(slopes[0]) - slope).abs() < 2e-4 * slope.max(0.1));
            }
        }
    }

    #[test]
    fn a_certain_sample_teaches_nothing_and_is_a_number() {
        for gamma in [0.5, 1.0, 2.0] {
            let [values, slopes] = of(&[0.0], &[gamma], None);
            assert_eq!((values[0], slopes[0].is_finite()), (0.0, true), "{gamma}");
            assert!(slopes[0].abs() < 1e-6);
        }
    }

    #[test]
    fn classes_are_pulled_by_all_samples() {
        let mut objective =
            Objective::EqualizedFocal { gamma: 2.0, pulls: vec![Pull::default(); 2] };
        // p = 3/4, 1/4 twice
        let z = 3f32.ln();
        objective.see(&[z, 0.0, z, 0.0], &Labels::Single(vec![0, 1]));
        let Objective::EqualizedFocal { pulls, .. } = objective else { unreachable!() };
        let found: Vec<f32> =
            pulls.iter().flat_map(|pull| [pull.up as f32, pull.down as f32]).collect();
        assert_close(&found, &[0.25, 0.75, 0.75, 0.25]);
    }
}
