//! Differentiable operators with exact gradients, on the CPU and on NVIDIA GPUs.
//!
//! Candle's own are slow here, and some of their gradients are wrong or missing. These
//! compute over candle's tensors and remember on a tape of their own, the [`Node`]; each is
//! checked by central differences and against `PyTorch`. What they have in common:
//!
//! - A gradient is computed only for an argument that leads to a variable.
//! - On the CPU a result does not depend on the number of threads, and in evaluation mode a
//!   sample's result does not depend on the batch it is in.
//! - Images and features, `[N, C, H, W]`, lie with their channels last:
//!   [`row_major`] brings a result into the order of its shape.
//! - On the CPU all values are f32, and an argument of another type is an error. On a GPU
//!   (feature `cuda`) activations are f32 or bf16; what is added in which order is the same at
//!   every run, but not the same as on the CPU.
//!
//! Beside them, [`cam`] and [`perturb`] are made of gradients and have none of their own, and [`bits`],
//! [`resize`] and [`softmax`] are functions of plain slices.

pub mod bits;
pub mod cam;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod memory;
pub mod optimizer;
pub mod perturb;
pub mod resize;
pub mod softmax;
pub mod threads;

mod activation;
mod batch_norm;
mod combine;
mod conv;
mod dots;
mod dropout;
mod gpu;
mod linear;
mod loss;
mod map;
mod node;
mod normalize;
mod pool;
mod precision;
mod shared;
mod simd;
mod storage;
mod sums;
mod transfer;
mod turn;

pub use activation::{Activation, activate};
pub use batch_norm::{Fold, Moments, Then, batch_norm, batch_norm_eval, blend};
pub use conv::{Conv2d, conv2d, conv2d_activated, conv2d_folded};
pub use dropout::dropout;
pub use gpu::{HAS_CUDA, gpu, host};
pub use linear::linear;
pub use loss::{bce_with_logits, cross_entropy};
pub use node::{Gradients, Node};
pub use normalize::normalize;
pub use pool::{Pool2d, adaptive_avg_pool2d, avg_pool2d, max_pool2d};
pub use precision::Precision;
pub use storage::row_major;
pub use transfer::{Later, Upload, later, upload};
