//! Class activation maps on a GPU.

#![expect(unsafe_code, reason = "kernels are started")]

use candle_core::{DType, Result, Tensor};

use super::Weighing;
use crate::{
    cuda::{Arg, Grid, Kernel, Source, at, empty, gpu, launch},
    map::cuda::cast,
    storage::dense,
};

/// Places of a block, each of a warp.
const PLACES: usize = 8;
const WARP: u32 = 32;

pub(super) fn cam(
    activation: &Tensor,
    gradient: &Tensor,
    weighing: Weighing,
) -> Result<Tensor> {
    let (batch, channels, height, width) = activation.dims4()?;
    let device = gpu(activation)?;
    let activation = cast(&dense(activation)?, DType::F32)?;
    let gradient = cast(&dense(gradient)?, DType::F32)?;
    let kernel = |name: &str| Kernel { source: Source::CAM, name: name.to_owned() };
    let sizes = [channels, height * width].map(|size| Arg::Int(size as u32));
    let weights = |name: &str| {
        let weights = empty(device, DType::F32, (batch, channels))?;
        let count = weights.elem_count();
        let args =
            [&[at(&activation)?, at(&gradient)?, at(&weights)?][..], &sizes].concat();
        let args = [args, vec![count.into()]].concat();
        // SAFETY: two tensors of as many channels and places, and a weight for each channel.
        unsafe { launch(device, &kernel(name), Grid::of(count), &args)? };
        Ok::<_, candle_core::Error>(weights)
    };
    let (factors, name) = match weighing {
        Weighing::GradCam => (weights("grad_cam")?, "by_channel"),
        Weighing::XGradCam => (weights("xgrad_cam")?, "by_channel"),
        Weighing::GradCamPlusPlus => (weights("grad_cam_plus_plus")?, "by_channel"),
        Weighing::HiResCam => (gradient.clone(), "by_place"),
        Weighing::LayerCam => (gradient.clone(), "by_place_if_positive"),
    };
    let maps = empty(device, DType::F32, (batch, height, width))?;
    let places = maps.elem_count();
    let args = [&[at(&activation)?, at(&factors)?, at(&maps)?][..], &sizes].concat();
    let args = [args, vec![places.into()]].concat();
    let blocks = (places.div_ceil(PLACES).max(1) as u32, 1, 1);
    let grid = Grid { blocks, threads: (WARP, PLACES as u32, 1) };
    // SAFETY: an activation, factors for its channels or of its shape, and a map an image.
    unsafe { launch(device, &kernel(name), grid, &args)? };
    Ok(maps)
}
