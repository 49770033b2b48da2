//! Copies between a GPU and memory that it reaches by itself.
//!
//! What is uploaded has a stream of its own, beside the computation's. Device memory is taken in
//! the order of that stream, and given back in that of the computation; the driver sees to it
//! that no block is handed out before.

#![expect(unsafe_code, reason = "the driver copies on its own")]

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CudaDevice, CudaStorage, DType, Result, Shape, Storage, Tensor, bail,
    cuda::{
        WrapErr,
        cudarc::driver::{CudaEvent, CudaSlice, CudaStream, PinnedHostSlice, result},
    },
    op::BackpropOp,
};
use rayon::prelude::*;

use crate::{
    cuda::{Arg, at, gpu},
    map, row_major,
};

/// Values up to which buffers are not told apart by their size.
const SMALL: usize = 1 << 12;

/// Memory that the GPU reaches by itself, and when it is done with it.
#[derive(Debug)]
struct Buffer {
    memory: PinnedHostSlice<f32>,
    done: Arc<CudaEvent>,
}

/// To make such memory takes longer than to fill it, so it is used again.
static BUFFERS: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());
/// The stream of what is uploaded.
static COPIES: Mutex<Option<Arc<CudaStream>>> = Mutex::new(None);

/// That a copy to the GPU has been made.
#[derive(Debug)]
pub(super) struct Copied {
    event: Arc<CudaEvent>,
    computation: Arc<CudaStream>,
}

impl Copied {
    /// Lets what is computed from now on wait for it.
    pub(super) fn wait(&self) -> Result<()> {
        self.computation.wait(&self.event).w()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // dropped before its tensor, which may be freed unused, in the computation's order: not
        // while it is written
        let _ = self.wait();
    }
}

/// Starts to copy what `fill` writes.
pub(super) fn upload(
    device: &CudaDevice,
    shape: Shape,
    fill: impl FnOnce(&mut [f32]),
) -> Result<(Tensor, Copied)> {
    let count = shape.elem_count();
    let computation = device.cuda_stream();
    let context = computation.context();
    let mut memory = take(&computation, count)?;
    fill(&mut memory.as_mut_slice().w()?[..count]);

    let copies = copies(&computation)?;
    let bytes = count * size_of::<f32>();
    // SAFETY: the context is this thread's, and the stream lives.
    let address = unsafe {
        if context.has_async_alloc() {
            result::malloc_async(copies.cu_stream(), bytes)
        } else {
            result::malloc_sync(bytes)
        }
    }
    .w()?;
    // SAFETY: it has just been allocated, of this size; any bits are numbers.
    let values: CudaSlice<f32> = unsafe { computation.upgrade_device_ptr(address, count) };
    let source = &memory.as_slice().w()?[..count];
    // SAFETY: neither buffer is touched or freed before the event below.
    unsafe { result::memcpy_htod_async(address, source, copies.cu_stream()) }.w()?;
    let event = Arc::new(copies.record_event(None).w()?);
    give(Buffer { memory, done: Arc::clone(&event) });

    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    let tensor = Tensor::from_storage(storage, shape, BackpropOp::none(), false);
    Ok((tensor, Copied { event, computation }))
}

/// A copy that is made for the processor.
#[derive(Debug)]
pub(super) struct Download {
    /// There until it is dropped.
    memory: Option<PinnedHostSlice<f32>>,
    count: usize,
    copied: Arc<CudaEvent>,
}

/// Starts to copy a tensor as f32 in the order of its shape, behind what computes it.
pub(super) fn download(tensor: &Tensor) -> Result<Download> {
    let values = row_major(tensor)?.flatten_all()?;
    let values = map::cuda::cast(&values, DType::F32)?;
    let count = values.elem_count();
    let stream = gpu(&values)?.cuda_stream();
    let mut memory = take(&stream, count)?;
    let Arg::Pointer(address) = at(&values)? else { bail!("a tensor has an address") };
    let target = &mut memory.as_mut_slice().w()?[..count];
    // SAFETY: the tensor has as many values, and is freed behind this copy in the order of the
    // stream; the buffer is not read or freed before the event below.
    unsafe { result::memcpy_dtoh_async(target, address, stream.cu_stream()) }.w()?;
    let copied = Arc::new(stream.record_event(None).w()?);
    Ok(Download { memory: Some(memory), count, copied })
}

impl Download {
    /// The values, once they are here.
    pub(super) fn read(self) -> Result<Vec<f32>> {
        self.copied.synchronize().w()?;
        let memory = self.memory.as_ref().expect("it is there until this is dropped");
        // one processor alone would take as long for a batch as the GPU does
        Ok(map::map(&memory.as_slice().w()?[..self.count], |value| value))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            give(Buffer { memory, done: Arc::clone(&self.copied) });
        }
    }
}

/// Memory for so many values that no copy reads or writes any more; the context is this thread's
/// from then on.
fn take(stream: &CudaStream, count: usize) -> Result<PinnedHostSlice<f32>> {
    // in steps of an eighth, so that a batch that is a little smaller finds one
    let step = (count.next_power_of_two() / 8).max(SMALL);
    let size = count.next_multiple_of(step).max(step);
    stream.context().bind_to_thread().w()?;
    {
        let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
        // whoever took a larger one would leave none to those whose size it is
        let fits =
            |buffer: &Buffer| buffer.memory.len() == size && buffer.done.is_complete();
        if let Some(found) = buffers.iter().position(fits) {
            return Ok(buffers.swap_remove(found).memory);
        }
    }
    // SAFETY: it is filled before it is read.
    let mut memory =
        unsafe { stream.context().alloc_pinned_with_flags::<f32>(size, 0) }.w()?;
    memory.as_mut_slice().w()?.par_chunks_mut(SMALL).for_each(|values| values.fill(0.0));
    Ok(memory)
}

fn give(buffer: Buffer) {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
}

fn copies(computation: &CudaStream) -> Result<Arc<CudaStream>> {
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stream) = &*copies {
        return Ok(Arc::clone(stream));
    }
    let stream = computation.context().new_stream().w()?;
    *copies = Some(Arc::clone(&stream));
    Ok(stream)
}
