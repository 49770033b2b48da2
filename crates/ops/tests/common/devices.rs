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
    static GPU: std::sync::LazyLock<Device> = std::sync::LazyLock::new(|| {
        let opened = ops::gpu(ops::Precision::F32);
        opened
            .unwrap_or_else(|error| panic!("a build with CUDA is tested on a GPU: {error}"))
    });
    GPU.clone()
}
