//! An NVIDIA GPU: its memory as tensors, and how kernels are started on it.
//!
//! Each operator has its kernels in a `.cu` beside it, compiled by `build.rs`. All computation
//! goes to one stream, in order: a buffer is freed, and its memory taken again, only behind the
//! kernels that use it. Activations are f32 or bf16, parameters and statistics f32; channels lie last,
//! as on the CPU.

mod device;
mod launch;
mod memory;
mod pack;

pub use crate::Precision;
pub(crate) use device::is_open;
pub use device::{open, precision};
pub(crate) use launch::{Arg, Grid, Kernel, Source, launch};
pub(crate) use memory::{at, empty, empty_like, gpu, laid_out, to_device};
pub(crate) use pack::width;
