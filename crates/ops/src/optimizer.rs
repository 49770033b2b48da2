//! Updates of all parameters at once, on a GPU.
//!
//! One kernel goes over all of them: one for each would take longer to start than to run.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor};

use crate::Later;

/// A rule of update, with the numbers of a step.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// ```text
    /// g ← g + λθ    m ← m + take (g − m)    v ← keep v + add g²
    /// θ ← θ − size · m / (√v / root + ε)
    /// ```
    Adam {
        /// r / (1 − β₁ᵗ)
        size: f32,
        /// √(1 − β₂ᵗ)
        root: f32,
        /// 1 − β₁
        take: f32,
        /// β₂
        keep: f32,
        /// 1 − β₂
        add: f32,
        /// ε
        epsilon: f32,
        /// λ
        weight_decay: f32,
    },
    /// ```text
    /// θ ← θ − r (g + λθ)
    /// ```
    Sgd {
        /// r
        rate: f32,
        /// λ
        weight_decay: f32,
    },
    /// ```text
    /// b ← μb + g + λθ    θ ← θ − r b
    /// ```
    Momentum {
        /// r
        rate: f32,
        /// μ
        momentum: f32,
        /// λ
        weight_decay: f32,
    },
}

/// A parameter that is changed, along its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// θ, row-major and f32.
    pub parameter: &'a Tensor,
    /// g, in any order.
    pub gradient: &'a Tensor,
    /// m and v, or b, as the parameter; they are changed too.
    pub moments: &'a [Tensor],
}

/// Takes one step with all of these parameters, rounding as is written in [`Rule`].
///
/// Of each of them it says later 0, or something else if it did not stay finite.
///
/// # Errors
///
/// If they are not f32 on a GPU, or a gradient or moment is not of its parameter's size.
pub fn update(rule: Rule, updates: &[Update<'_>]) -> Result<Later> {
    #[cfg(feature = "cuda")]
    return cuda::update(rule, updates);
    #[cfg(not(feature = "cuda"))]
    {
        let (_, _) = (rule, updates);
        candle_core::bail!(
            "this program was built without CUDA: it updates no GPU's parameters"
        )
    }
}
