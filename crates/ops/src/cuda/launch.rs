//! Starting kernels.

#![expect(unsafe_code, reason = "a kernel reads and writes what its arguments point to")]

use candle_core::{
    CudaDevice, Result,
    cuda::{
        WrapErr,
        cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg},
    },
};

/// A file of kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    name: &'static str,
    ptx: &'static str,
}

impl Source {
    pub(crate) const BATCH_NORM: Self = Self {
        name: "batch_norm",
        ptx: include_str!(concat!(env!("OUT_DIR"), "/batch_norm.ptx")),
    };
    pub(crate) const CAM: Self =
        Self { name: "cam", ptx: include_str!(concat!(env!("OUT_DIR"), "/cam.ptx")) };
    pub(crate) const CONV: Self =
        Self { name: "conv", ptx: include_str!(concat!(env!("OUT_DIR"), "/conv.ptx")) };
    pub(crate) const DEPTHWISE: Self = Self {
        name: "depthwise",
        ptx: include_str!(concat!(env!("OUT_DIR"), "/depthwise.ptx")),
    };
    pub(crate) const DROPOUT: Self = Self {
        name: "dropout",
        ptx: include_str!(concat!(env!("OUT_DIR"), "/dropout.ptx")),
    };
    pub(crate) const LOSS: Self =
        Self { name: "loss", ptx: include_str!(concat!(env!("OUT_DIR"), "/loss.ptx")) };
    pub(crate) const MAP: Self =
        Self { name: "map", ptx: include_str!(concat!(env!("OUT_DIR"), "/map.ptx")) };
    pub(crate) const NORMALIZE: Self = Self {
        name: "normalize",
        ptx: include_str!(concat!(env!("OUT_DIR"), "/normalize.ptx")),
    };
    pub(crate) const OPTIMIZER: Self = Self {
        name: "optimizer",
        ptx: include_str!(concat!(env!("OUT_DIR"), "/optimizer.ptx")),
    };
    pub(crate) const PERTURB: Self = Self {
        name: "perturb",
        ptx: include_str!(concat!(env!("OUT_DIR"), "/perturb.ptx")),
    };
    pub(crate) const POOL: Self =
        Self { name: "pool", ptx: include_str!(concat!(env!("OUT_DIR"), "/pool.ptx")) };
}

/// A kernel: its file, and its name there.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) source: Source,
    pub(crate) name: String,
}

/// How many threads run, in blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) blocks: (u32, u32, u32),
    pub(crate) threads: (u32, u32, u32),
}

impl Grid {
    /// Threads of a block where nothing speaks for another number.
    pub(crate) const THREADS: u32 = 256;

    /// At least a thread for each of `elements`.
    pub(crate) fn of(elements: usize) -> Self {
        let blocks = elements.div_ceil(Self::THREADS as usize).max(1);
        Self { blocks: (blocks as u32, 1, 1), threads: (Self::THREADS, 1, 1) }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg {
    /// The address of a buffer, or 0 for none; see [`at`](super::at).
    Pointer(u64),
    /// `unsigned`
    Int(u32),
    /// `size_t`
    Long(u64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// A structure of 13 `int`.
    Sizes(Sizes),
}

/// The sizes of a convolution, as its kernels take them.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Sizes([i32; 13]);

// SAFETY: plain integers.
unsafe impl DeviceRepr for Sizes {}

impl From<[i32; 13]> for Sizes {
    fn from(sizes: [i32; 13]) -> Self {
        Self(sizes)
    }
}

impl From<usize> for Arg {
    /// `size_t`
    fn from(value: usize) -> Self {
        Self::Long(value as u64)
    }
}

impl From<u32> for Arg {
    /// `unsigned`
    fn from(value: u32) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for Arg {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

/// Has the driver translate some kernels.
///
/// # Errors
///
/// If they are not for this GPU.
pub(super) fn probe(device: &CudaDevice) -> Result<()> {
    let Source { name, ptx } = Source::OPTIMIZER;
    device.get_or_load_custom_func("sgd", name, ptx)?;
    Ok(())
}

/// Starts a kernel; it runs behind all that was started before.
///
/// # Safety
///
/// The arguments are those of the kernel, in number and types, and the buffers that it reads and
/// writes are as large as it takes them to be.
pub(crate) unsafe fn launch(
    device: &CudaDevice,
    kernel: &Kernel,
    grid: Grid,
    args: &[Arg],
) -> Result<()> {
    let Source { name, ptx } = kernel.source;
    let function = device.get_or_load_custom_func(&kernel.name, name, ptx)?;
    let mut call = function.builder();
    for arg in args {
        match arg {
            Arg::Pointer(value) | Arg::Long(value) => call.arg(value),
            Arg::Int(value) => call.arg(value),
            Arg::Float(value) => call.arg(value),
            Arg::Double(value) => call.arg(value),
            Arg::Sizes(value) => call.arg(value),
        };
    }
    let Grid { blocks, threads } = grid;
    let config = LaunchConfig { grid_dim: blocks, block_dim: threads, shared_mem_bytes: 0 };
    // SAFETY: as the caller promises.
    unsafe { call.launch(config) }.w()?;
    Ok(())
}
