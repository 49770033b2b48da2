//! Convolutions by cuDNN, with an algorithm for each shape and one workspace for all.

#![expect(unsafe_code, reason = "cuDNN's functions")]

use std::{
    collections::HashMap,
    ffi::c_void,
    ptr::null_mut,
    sync::{Mutex, PoisonError},
};

use candle_core::{
    CudaDevice, DType, Result, Tensor, bail,
    cuda::cudarc::cudnn::{CudnnError, result, sys},
};

use super::super::geometry::Geometry;
use super::plan::Plan;
use crate::cuda::{Arg, at, empty, gpu};

/// Which of the three convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `y` of `x` and `w`
    Forward,
    /// `dx` of `dy` and `w`
    Data,
    /// `dw` of `x` and `dy`
    Weight,
}

/// Computes what is asked for from two tensors, in the order of [`Kind`], into a third. Weights
/// are of the type of the values, and lie as `[O, Kh, Kw, C / groups]` beside values with their
/// channels last, as `[O, C / groups, Kh, Kw]` beside row-major ones.
///
/// # Errors
///
/// If cuDNN has no algorithm that gives the same result at every run, or there is no memory.
pub(super) fn convolve(
    kind: Kind,
    geometry: &Geometry,
    channels_last: bool,
    (a, b): (&Tensor, &Tensor),
    out: &Tensor,
) -> Result<()> {
    static CUDNN: Mutex<Option<Cudnn>> = Mutex::new(None);
    for tensor in [a, b, out] {
        let count = tensor.elem_count();
        if i32::try_from(count).is_err() {
            bail!("a batch of {count} values is TOO_LARGE for cuDNN");
        }
    }
    let mut cudnn = CUDNN.lock().unwrap_or_else(PoisonError::into_inner);
    let cudnn = match &mut *cudnn {
        Some(cudnn) => cudnn,
        none => none.insert(Cudnn::new(gpu(a)?)?),
    };
    let key = Key { kind, geometry: *geometry, channels_last, dtype: a.dtype() };
    cudnn.run(key, gpu(a)?, [at(a)?, at(b)?, at(out)?])
}

/// A handle, and what is kept for it. There is one GPU, and one stream.
struct Cudnn {
    handle: sys::cudnnHandle_t,
    plans: HashMap<Key, Plan>,
    /// As large as any plan so far has needed.
    workspace: Option<Tensor>,
}

// SAFETY: a handle may be used by any thread, by one at a time: it is behind a lock.
unsafe impl Send for Cudnn {}

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) geometry: Geometry,
    pub(super) channels_last: bool,
    pub(super) dtype: DType,
}

impl Cudnn {
    fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        stream.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
        let handle = result::create_handle().map_err(|error| told("cuDNN", error))?;
        // SAFETY: the handle and the stream are alive, and live as long as the process.
        unsafe { result::set_stream(handle, stream.cu_stream().cast()) }
            .map_err(|error| told("cuDNN", error))?;
        Ok(Self { handle, plans: HashMap::new(), workspace: None })
    }

    fn run(&mut self, key: Key, device: &CudaDevice, tensors: [Arg; 3]) -> Result<()> {
        let context = device.cuda_stream();
        context.context().bind_to_thread().map_err(candle_core::Error::wrap)?;
        if !self.plans.contains_key(&key) {
            let plan = Plan::new(self.handle, key).map_err(|error| {
                told(&format!("cuDNN has no {:?} of {:?}", key.kind, key.geometry), error)
            })?;
            self.plans.insert(key, plan);
        }
        let plan = &self.plans[&key];
        let size = self.workspace.as_ref().map_or(0, Tensor::elem_count);
        if size < plan.workspace {
            self.workspace = None;
            self.workspace = Some(empty(device, DType::U8, plan.workspace)?);
        }
        let workspace = self.workspace.as_ref().map(at).transpose()?;
        let workspace = workspace.map_or(null_mut(), pointer);
        // SAFETY: the tensors are as large as the plan's descriptors say, the workspace as large
        // as its algorithm asks for.
        unsafe { plan.run(self.handle, workspace, tensors.map(pointer)) }.map_err(|error| {
            told(&format!("cuDNN's {:?} of {:?}", key.kind, key.geometry), error)
        })
    }
}

fn pointer(arg: Arg) -> *mut c_void {
    match arg {
        Arg::Pointer(address) => address as *mut c_void,
        _ => null_mut(),
    }
}

fn told(what: &str, error: CudnnError) -> candle_core::Error {
    candle_core::Error::msg(format!("{what}: {error:?}"))
}
