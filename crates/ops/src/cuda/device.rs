//! Opening a GPU.

#![expect(unsafe_code, reason = "the driver's own functions")]

use std::sync::atomic::{AtomicU8, Ordering};

use candle_core::{
    Device, Result,
    cuda::{
        WrapErr,
        cudarc::driver::{result, sys},
        set_gemm_reduced_precision_f32,
    },
};

use crate::Precision;

static PRECISION: AtomicU8 = AtomicU8::new(Precision::Tf32 as u8);

/// The precision that the process has opened its GPU with.
pub fn precision() -> Precision {
    match PRECISION.load(Ordering::Relaxed) {
        0 => Precision::F32,
        1 => Precision::Tf32,
        _ => Precision::Bf16,
    }
}

/// The first NVIDIA GPU, for the whole process.
///
/// # Errors
///
/// If there is no driver, no GPU, or none that runs these kernels.
pub fn open(precision: Precision) -> Result<Device> {
    // a stream of its own: the default one would be another for each thread
    let device = Device::new_cuda_with_stream(0)?;
    let Device::Cuda(gpu) = &device else { unreachable!("a GPU was opened") };
    PRECISION.store(precision as u8, Ordering::Relaxed);
    set_gemm_reduced_precision_f32(precision != Precision::F32);
    // SAFETY: there is one stream, and buffers are freed in its order.
    unsafe { gpu.disable_event_tracking() };
    keep_memory()?;
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
