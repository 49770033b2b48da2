//! Which algorithm cuDNN takes for a shape, and how it is run.

#![expect(unsafe_code, reason = "cuDNN's functions")]

use std::{ffi::c_void, mem::zeroed};

use candle_core::{
    DType,
    cuda::cudarc::cudnn::{CudnnError, result, sys},
};

use super::{
    super::geometry::Axis,
    cudnn::{Key, Kind},
};
use crate::cuda::{Precision, precision};

/// An algorithm for a shape. Its descriptors live as long as the process.
pub(super) struct Plan {
    x: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    conv: sys::cudnnConvolutionDescriptor_t,
    algorithm: Algorithm,
    /// Bytes.
    pub(super) workspace: usize,
}

#[derive(Clone, Copy, Debug)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Data(sys::cudnnConvolutionBwdDataAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
}

impl Plan {
    pub(super) fn new(handle: sys::cudnnHandle_t, key: Key) -> Result<Self, CudnnError> {
        let Key { kind, geometry, channels_last, dtype } = key;
        let format = if channels_last {
            sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC
        } else {
            sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW
        };
        let data = match dtype {
            DType::BF16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
            _ => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        };
        let math = match (dtype, precision()) {
            (DType::BF16, _) => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
            (_, Precision::F32) => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            // TF32, where the GPU has it
            _ => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
        };
        let sizes =
            |(n, c, h, w): (usize, usize, usize, usize)| [n, c, h, w].map(|n| n as i32);
        let pair =
            |of: fn(&Axis) -> usize| (of(&geometry.y) as i32, of(&geometry.x) as i32);
        let padding = pair(|axis| axis.padding);
        let stride = pair(|axis| axis.stride);
        let dilation = pair(|axis| axis.dilation);
        let x = result::create_tensor_descriptor()?;
        let y = result::create_tensor_descriptor()?;
        let w = result::create_filter_descriptor()?;
        let conv = result::create_convolution_descriptor()?;
        // SAFETY: the descriptors have just been made.
        unsafe {
            result::set_tensor4d_descriptor(x, format, data, sizes(geometry.input()))?;
            result::set_tensor4d_descriptor(y, format, data, sizes(geometry.result()))?;
            result::set_filter4d_descriptor(w, data, format, sizes(geometry.weights()))?;
            result::set_convolution2d_descriptor(
                conv,
                padding.0,
                padding.1,
                stride.0,
                stride.1,
                dilation.0,
                dilation.1,
                sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
                sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            )?;
            result::set_convolution_math_type(conv, math)?;
            result::set_convolution_group_count(conv, geometry.groups as i32)?;
        }
        // SAFETY: the descriptors are set, and the lists are of numbers.
        let (algorithm, workspace) = unsafe {
            match kind {
                Kind::Forward => fastest(
                    |most, count, list| {
                        result::get_convolution_forward_algorithm(
                            handle, x, w, conv, y, most, count, list,
                        )
                    },
                    |f: &sys::cudnnConvolutionFwdAlgoPerfStruct| {
                        (Algorithm::Forward(f.algo), f.memory, f.status, f.determinism)
                    },
                ),
                Kind::Data => fastest(
                    |most, count, list| {
                        result::get_convolution_backward_data_algorithm(
                            handle, w, y, conv, x, most, count, list,
                        )
                    },
                    |f: &sys::cudnnConvolutionBwdDataAlgoPerfStruct| {
                        (Algorithm::Data(f.algo), f.memory, f.status, f.determinism)
                    },
                ),
                Kind::Weight => fastest(
                    |most, count, list| {
                        result::get_convolution_backward_filter_algorithm(
                            handle, x, y, conv, w, most, count, list,
                        )
                    },
                    |f: &sys::cudnnConvolutionBwdFilterAlgoPerfStruct| {
                        (Algorithm::Weight(f.algo), f.memory, f.status, f.determinism)
                    },
                ),
            }
        }?;
        Ok(Self { x, w, y, conv, algorithm, workspace })
    }

    /// # Safety
    ///
    /// The addresses are those of tensors of the plan's shapes, in the order of [`Kind`], and of a
    /// workspace of its size.
    pub(super) unsafe fn run(
        &self,
        handle: sys::cudnnHandle_t,
        workspace: *mut c_void,
        [a, b, out]: [*mut c_void; 3],
    ) -> Result<(), CudnnError> {
        let Self { x, w, y, conv, algorithm, workspace: size } = *self;
        let (one, zero) = (1f32, 0f32);
        let (one, zero) = ((&raw const one).cast(), (&raw const zero).cast());
        // SAFETY: as the caller promises.
        unsafe {
            match algorithm {
                Algorithm::Forward(algorithm) => result::convolution_forward(
                    handle, one, x, a, w, b, conv, algorithm, workspace, size, zero, y, out,
                ),
                Algorithm::Data(algorithm) => result::convolution_backward_data(
                    handle, one, w, b, y, a, conv, algorithm, workspace, size, zero, x, out,
                ),
                Algorithm::Weight(algorithm) => result::convolution_backward_filter(
                    handle, one, x, a, y, b, conv, algorithm, workspace, size, zero, w, out,
                ),
            }
        }
    }
}

/// More algorithms than there are.
const ALGORITHMS: usize = 16;

/// The algorithm that cuDNN holds to be the fastest of those that sum in a fixed order, and the
/// bytes it works in: of a list that `ask` has it write, with its fastest first, and of which
/// `read` makes these, the status and the determinism.
///
/// # Safety
///
/// The descriptors that `ask` hands over are set, and all of a `P` may be 0.
unsafe fn fastest<P: Copy, A>(
    ask: impl FnOnce(i32, *mut i32, *mut P) -> Result<(), CudnnError>,
    read: impl Fn(&P) -> (A, usize, sys::cudnnStatus_t, sys::cudnnDeterminism_t),
) -> Result<(A, usize), CudnnError> {
    let mut count = 0;
    // SAFETY: as the caller promises.
    let mut found = [unsafe { zeroed::<P>() }; ALGORITHMS];
    ask(ALGORITHMS as i32, &raw mut count, found.as_mut_ptr())?;
    let mut found = found[..count as usize].iter().map(read);
    let is_usable = |status, determinism| {
        status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
            && determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
    };
    found
        .find(|&(_, _, status, determinism)| is_usable(status, determinism))
        .map(|(algorithm, memory, ..)| (algorithm, memory))
        .ok_or(CudnnError(sys::cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED))
}
