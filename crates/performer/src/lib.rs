//! A model file and a pack that fit together, as a network and its input.
//!
//! [`open`] turns the files that `attack`, `explain`, `audit` and `evaluate` are given into a
//! network, after it has checked that the one can judge the images of the other;
//! [`image_batch`] turns rows of the pack into the network's input, and [`ImageBatches`] does so
//! ahead of a GPU. [`open_alone`] and [`pixels`] do the same for images that are in no pack.

mod error;
mod image_batch;
mod image_batches;
mod open;

pub use error::{Error, Result};
pub use image_batch::{image_batch, pixels};
pub use image_batches::ImageBatches;
pub use open::{Performer, open, open_alone};
