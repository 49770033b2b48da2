//! Opening a GPU.

#![expect(unsafe_code, reason = "the driver's own functions")]

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use candle_core::{
    Device, Error, Result, bail,
    cuda::{
        WrapErr,
        cudarc::driver::{result, sys},
        set_gemm_reduced_precision_f32,
    },
};

use super::launch::probe;
use crate::Precision;

/// What the driver says, and what it means to who wants to compute.
const REASONS: [(&str, &str); 6] = [
    ("NO_DEVICE", "there is no NVIDIA GPU"),
    ("INVALID_DEVICE", "there is no NVIDIA GPU"),
    ("STUB_LIBRARY", "there is no NVIDIA driver, only a stub of its library"),
    ("UNSUPPORTED_PTX_VERSION", "the NVIDIA driver is older than this program: update it"),
    ("INVALID_PTX", FOREIGN),
    ("NO_BINARY_FOR_GPU", FOREIGN),
];
const FOREIGN: &str = "this program is not for the architecture of this GPU: build it with \
                       CUDA_COMPUTE_CAP as its compute capability, 90 for an H100";

static OPEN: AtomicBool = AtomicBool::new(false);
static PRECISION: AtomicU8 = AtomicU8::new(Precision::Tf32 as u8);

/// The precision that the process has opened its GPU with.
pub fn precision() -> Precision {
    match PRECISION.load(Ordering::Relaxed) {
        0 => Precision::F32,
        1 => Precision::Tf32,
        _ => Precision::Bf16,
    }
}

/// Whether a GPU computes, and the processor's threads need not be kept awake.
pub(crate) fn is_open() -> bool {
    OPEN.load(Ordering::Relaxed)
}

/// The first NVIDIA GPU, for the whole process: the same one, and one stream, at every call.
///
/// # Errors
///
/// If there is no driver, no GPU, or none that runs these kernels, or if the process has opened
/// it to compute in something else.
pub fn open(precision: Precision) -> Result<Device> {
    static OPENED: Mutex<Option<Device>> = Mutex::new(None);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = &*opened {
        // algorithms are chosen for one precision
        if self::precision() != precision {
            bail!("this process computes in {:?} already", self::precision());
        }
        return Ok(device.clone());
    }
    let device = start(precision).map_err(|error| {
        let said = error.to_string();
        let reason = REASONS.iter().find(|(sign, _)| said.contains(sign));
        reason.map_or(error, |(sign, meaning)| Error::msg(format!("{meaning} ({sign})")))
    })?;
    *opened = Some(device.clone());
    Ok(device)
}

fn start(precision: Precision) -> Result<Device> {
    // a stream of its own: the default one would be another for each thread
    let device = Device::new_cuda_with_stream(0)?;
    let Device::Cuda(gpu) = &device else { unreachable!("a GPU was opened") };
    PRECISION.store(precision as u8, Ordering::Relaxed);
    set_gemm_reduced_precision_f32(precision != Precision::F32);
    // SAFETY: one stream computes, and buffers are freed in its order; what another one copies
    // to them is used and freed only behind the copy.
    unsafe { gpu.disable_event_tracking() };
    if gpu.cuda_stream().context().has_async_alloc() {
        keep_memory()?;
    }
    probe(gpu)?;
    OPEN.store(true, Ordering::Relaxed);
    Ok(device)
}

/// Lets freed memory stay with the process: by default every wait for the GPU returns it.
fn keep_memory() -> Result<()> {
    // SAFETY: device 0 has just been opened; the pool is its own, and the value an u64.
    unsafe {
        let device = result::device::get(0).w()?;
        let mut pool = std::ptr::null_mut();
        sys::cuDeviceGetDefaultMemPool(&raw mut pool, device).result().w()?;
        let mut all = u64::MAX;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut all).cast()).result().w()?;
    }
    Ok(())
}
