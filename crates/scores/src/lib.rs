//! From maps to the table of scores, and what it says as a whole.
//!
//! [`table()`] judges the samples of some clean maps by their perturbed ones, Eq. (2) and
//! (3); [`Summary`] tells how the judgements are distributed, and [`warn_if_equal`] whether
//! the weights that follow from them will differ at all. `score` has its maps from files,
//! `audit` from memory: a row is the same either way.

mod concentration;
mod perturbed;
mod summary;
mod table;

pub use concentration::warn_if_equal;
pub use perturbed::Perturbed;
pub use summary::Summary;
pub use table::table;
