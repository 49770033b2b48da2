//! From a dataset in its original layout to packs, and from packs to batches.

mod augment;
mod batches;
mod bias;
mod decode;
mod error;
mod geometry;
mod jpeg;
pub mod layout;
mod mask;
mod npy;
mod order;
mod random;
pub mod shapes;

pub use augment::Augment;
pub use batches::{Batch, Batches};
pub use bias::Bias;
pub use decode::{Decoded, ImageSource, Pixels};
pub use error::{BadFile, Error, Result};
pub use geometry::{Fit, Geometry};
pub use mask::{MaskFile, MaskSource};
pub use order::{draw, in_batches, order};
