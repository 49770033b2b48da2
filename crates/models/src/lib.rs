//! Performers: networks with torchvision's parameter names, split at a tap.
//!
//! A [`Network`] is a chain of named blocks in torchvision's order. Explanations need its
//! activation at one of them, the [`Tap`]: [`Network::features`] runs the chain up to and
//! including it, [`Network::head`] the rest. Pixels go in as they are, in \[0, 1\]: their
//! [`Normalization`] is the first layer.
//!
//! Parameters come from torchvision's initialisation ([`Network::new`]) or from a
//! checkpoint that must fit exactly ([`Network::load`]); [`Network::state`] is a
//! torchvision `state_dict`. Files are read and written elsewhere.

mod arch;
mod error;
mod init;
mod layer;
mod load;
mod mobilenet;
mod network;
mod normalization;
mod resnet;
mod running;
mod store;
mod tap;
mod timm;
mod vgg;

pub use arch::Arch;
pub use error::{Error, Keys, Result};
pub use load::Head;
pub use network::{Mode, Network};
pub use normalization::Normalization;
pub use tap::Tap;
