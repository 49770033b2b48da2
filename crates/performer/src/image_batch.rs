use artifact::Pack;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Images of a pack as pixels in \[0, 1\], ready for [`models::Network::forward`].
///
/// ```text
/// x = byte / 255
/// ```
///
/// Normalisation by mean and standard deviation is the network's first layer.
///
/// # Shapes
///
/// - `rows`: rows of the pack, B of them, in any order
/// - result: `[B, 3, H, W]`, f32, on the CPU
///
/// # Errors
///
/// If the tensor cannot be made.
///
/// # Panics
///
/// If a row is not in the pack.
pub fn image_batch(pack: &Pack, rows: &[usize]) -> candle_core::Result<Tensor> {
    let (height, width) = (pack.height(), pack.width());
    let mut pixels = vec![0f32; rows.len() * 3 * height * width];
    pixels.par_chunks_mut(3 * height * width).zip(rows).for_each(|(image, &row)| {
        for (pixel, &byte) in image.iter_mut().zip(pack.image(row)) {
            *pixel = f32::from(byte) / 255.0;
        }
    });
    Tensor::from_vec(pixels, (rows.len(), 3, height, width), &Device::Cpu)
}
