//! FGSM, PGD and the semantic-preserving composition.
//!
//! ```text
//! h = ε · sign(∇L)                   Eq. (7)    fgsm (the sign), step (the ε)
//! x̂ = clamp(x + h∘(1 − g), 0, 1)     Eq. (1)    compose
//! ```
//!
//! The sign does not depend on ε or on the explanation g: it is found once a network, and
//! an x̂ is composed wherever one is needed. [`Masking`] takes the attack's place in ablations.
//! Whoever has the logits of a batch already, and a way back from them, finds the signs by
//! [`logit_gradient()`] and [`signs`] instead.

mod compose;
mod error;
mod fgsm;
mod logit_gradient;
mod pgd;
mod step;
mod target;

pub use compose::{Direction, Directions, Masking, compose, compose_batch};
pub use error::{Error, Result};
pub use fgsm::{fgsm, signs};
pub use logit_gradient::logit_gradient;
pub use pgd::{PGD_STEPS, pgd};
pub use step::{EpsilonUnit, UnknownUnit, step};
pub use target::Target;
