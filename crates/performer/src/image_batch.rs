use artifact::Pack;
use candle_core::{Device, Tensor};
use ops::Upload;
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
/// - result: `[B, 3, H, W]`, f32, on the device
///
/// # Errors
///
/// If the tensor cannot be made.
///
/// # Panics
///
/// If a row is not in the pack.
pub fn image_batch(
    pack: &Pack,
    rows: &[usize],
    device: &Device,
) -> candle_core::Result<Tensor> {
    upload(pack, rows, device)?.tensor()
}

/// [`image_batch`], on its way.
pub(crate) fn upload(
    pack: &Pack,
    rows: &[usize],
    device: &Device,
) -> candle_core::Result<Upload> {
    let images: Vec<_> = rows.iter().map(|&row| pack.image(row)).collect();
    upload_pixels(&images, [pack.height(), pack.width()], device)
}

/// Images as [`image_batch`] makes them of a pack.
///
/// # Shapes
///
/// - `images`: B of `[3, H, W]`
/// - result: `[B, 3, H, W]`, f32, on the device
///
/// # Errors
///
/// If the tensor cannot be made.
///
/// # Panics
///
/// If an image is of another size.
pub fn pixels(
    images: &[&[u8]],
    size: [usize; 2],
    device: &Device,
) -> candle_core::Result<Tensor> {
    upload_pixels(images, size, device)?.tensor()
}

fn upload_pixels(
    images: &[&[u8]],
    [height, width]: [usize; 2],
    device: &Device,
) -> candle_core::Result<Upload> {
    let size = 3 * height * width;
    assert!(images.iter().all(|image| image.len() == size), "images of the size");
    let shape = (images.len(), 3, height, width);
    ops::upload(shape, device, |pixels| {
        pixels.par_chunks_mut(size).zip(images).for_each(|(pixels, image)| {
            for (pixel, &byte) in pixels.iter_mut().zip(*image) {
                *pixel = f32::from(byte) / 255.0;
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_shares_of_255() {
        let batch = pixels(&[&[0, 51, 255], &[102, 0, 0]], [1, 1], &Device::Cpu).unwrap();
        assert_eq!(batch.dims(), [2, 3, 1, 1]);
        let values = batch.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [0.0, 0.2, 1.0, 0.4, 0.0, 0.0]);
    }
}
