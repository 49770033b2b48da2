//! The paper's arithmetic: inconsistency D, consistency E and the sample weights.
//!
//! An image's explanation is compared with that of its adversarial version, which
//! disturbs only what the explanation calls unimportant:
//!
//! ```text
//! D = ψ(‖g(f(x̂)) − g(f(x))‖²)                      Eq. (3)    distance, Psi
//! E = 1 − D, or 0 if the prediction flipped         Eq. (2)    evaluate
//! v = 1 − E                                         Eq. (4)    weight
//! ```
//!
//! What the paper compares these weights with is here too: [`hard_negative`], [`focal`] and
//! [`equalized_focal`] look at the prediction alone; [`by_flip`], [`by_distance`], [`exchange`]
//! and [`level`] leave out a part of Eq. (4).
//! [`selection`] is what section IV-E compares when only some samples have labels.
//!
//! Everything here is a function of plain numbers; networks and files are elsewhere.

mod control;
mod distance;
mod explanation_consistency;
mod prediction;
mod psi;
mod quantile;
mod rival;
pub mod selection;
mod weight;

pub use control::{by_distance, by_flip, exchange, level};
pub use distance::{Reduction, distance};
pub use explanation_consistency::{Comparison, Verdict, evaluate};
pub use prediction::{Label, Prediction, judge};
pub use psi::Psi;
pub use quantile::quantile;
pub use rival::{Pull, equalized_focal, focal, hard_negative};
pub use weight::weight;

/// A name that stands for nothing here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
pub struct UnknownName {
    /// The names that are known.
    pub expected: &'static str,
    /// What was given.
    pub found: String,
}
