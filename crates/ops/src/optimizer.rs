//! Updates of all parameters.
//!
//! On a GPU one kernel goes over all of them: one for each would take longer to start than to run.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Result, Tensor, bail};

use crate::Later;

/// β₁ and β₂ of Adam, and its ε.
const BETA: [f64; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// A rule of update, with the numbers of a step.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Adam (Kingma and Ba 2014, Algorithm 1), in the order of operations of `torch.optim.Adam`,
    /// with an L2 penalty in the gradient.
    ///
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
    /// Gradient descent, as `torch.optim.SGD` without momentum.
    ///
    /// ```text
    /// θ ← θ − r (g + λθ)
    /// ```
    Sgd {
        /// r
        rate: f32,
        /// λ
        weight_decay: f32,
    },
    /// Gradient descent with momentum, as `torch.optim.SGD` without dampening.
    ///
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

impl Rule {
    /// Adam's in the step of this number, counted from 1, with the learning rate r and the
    /// weight decay λ.
    pub fn adam(step: u64, rate: f64, weight_decay: f64) -> Self {
        let correction = BETA.map(|beta| 1.0 - beta.powf(step as f64));
        Self::Adam {
            size: (rate / correction[0]) as f32,
            root: correction[1].sqrt() as f32,
            take: (1.0 - BETA[0]) as f32,
            keep: BETA[1] as f32,
            add: (1.0 - BETA[1]) as f32,
            epsilon: EPSILON,
            weight_decay: weight_decay as f32,
        }
    }

    /// That of gradient descent with the learning rate r, the momentum μ, which may be 0, and the
    /// weight decay λ.
    pub fn sgd(rate: f64, momentum: f64, weight_decay: f64) -> Self {
        let (rate, weight_decay) = (rate as f32, weight_decay as f32);
        if momentum > 0.0 {
            Self::Momentum { rate, momentum: momentum as f32, weight_decay }
        } else {
            Self::Sgd { rate, weight_decay }
        }
    }

    /// How many moments a parameter has.
    fn moments(self) -> usize {
        match self {
            Self::Adam { .. } => 2,
            Self::Momentum { .. } => 1,
            Self::Sgd { .. } => 0,
        }
    }
}

/// A parameter that is changed, along its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// θ, row-major and f32.
    pub parameter: &'a Tensor,
    /// g, in any order.
    pub gradient: &'a Tensor,
    /// m and v, or b, as the parameter, each in memory of its own; they are changed too.
    pub moments: &'a [Tensor],
}

/// Takes one step with all of these parameters, rounding as is written in [`Rule`].
///
/// Of each of them it says later 0, or something else if it did not stay finite.
///
/// # Errors
///
/// If they are not f32, a gradient or moment is not of its parameter's size, or two are one tensor.
pub fn update(rule: Rule, updates: &[Update<'_>]) -> Result<Later> {
    #[cfg(feature = "cuda")]
    if updates.iter().any(|update| update.parameter.device().is_cuda()) {
        return cuda::update(rule, updates);
    }
    cpu::update(rule, updates)
}

fn check(update: &Update<'_>, moments: usize) -> Result<()> {
    let count = update.gradient.elem_count();
    let fits = |tensor: &Tensor| {
        tensor.dtype() == DType::F32
            && tensor.is_contiguous()
            && tensor.elem_count() == count
    };
    if count == 0
        || update.moments.len() != moments
        || !fits(update.parameter)
        || !update.moments.iter().all(fits)
        || matches!(update.moments, [m, v] if m.id() == v.id())
    {
        let form = |tensor: &Tensor| format!("{:?} {:?}", tensor.dtype(), tensor.shape());
        let found: Vec<String> = update.moments.iter().map(form).collect();
        bail!(
            "expected a parameter, {moments} different moments and a gradient of one size in f32, found {}, \
             {found:?} and {}",
            form(update.parameter),
            form(update.gradient)
        );
    }
    Ok(())
}
