//! Where the tests run.

use candle_core::Device;

/// The CPU and, with the feature `cuda`, the GPU, which has to be there then.
pub(crate) fn devices() -> impl Iterator<Item = Device> {
    #[cfg(feature = "cuda")]
    let gpus = [gpu()];
    #[cfg(not(feature = "cuda"))]
    let gpus = [];
    [Device::Cpu].into_iter().chain(gpus)
}

#[cfg(feature = "cuda")]
fn gpu() -> Device {
    ops::gpu(ops::Precision::F32)
        .unwrap_or_else(|error| panic!("a build with CUDA is tested on a GPU: {error}"))
}
