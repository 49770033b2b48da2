//! Which samples are worth a label: what section IV-E of the paper compares.
//!
//! Functions of what a network makes of images, never of their labels: these are not known
//! before a sample is chosen.

mod coreset;
mod highest;
mod pseudo;
mod uncertainty;

pub use coreset::coreset;
pub use highest::highest;
pub use pseudo::threshold;
pub use uncertainty::Measure;
