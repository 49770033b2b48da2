//! Images that are pushed by the signs of a gradient.
//!
//! On a GPU the gradient stays there: what leaves it is at most a bit a pixel.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

use crate::{
    bits,
    gpu::host,
    resize,
    storage::{self, row_major, tensor_row_major},
};

/// Signs of a batch, on the device where the values are that have them.
#[derive(Clone, Debug)]
pub struct Signs {
    /// `[B, ceil(CHW/8)]`, u8: a bit a value, as [`bits::pack_signs`] packs them.
    pub bits: Tensor,
    /// Whether all values of an image are finite, `[B]`.
    pub finite: Vec<bool>,
}

/// The signs of each image's values.
///
/// # Shapes
///
/// - `values`: `[B, C, H, W]`, f32 or, on a GPU, bf16
///
/// # Errors
///
/// If the values have another shape or type, or if there are none.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let gradient = Tensor::new(&[[[[0.5f32, -2.0]]], [[[-1.0, f32::NAN]]]], &Device::Cpu)?;
/// let signs = ops::perturb::signs(&gradient)?;
/// assert_eq!(signs.bits.to_vec2::<u8>()?, [[0b01], [0b10]]);
/// assert_eq!(signs.finite, [true, false]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn signs(values: &Tensor) -> Result<Signs> {
    let (batch, channels, height, width) = values.dims4()?;
    let length = channels * height * width;
    if batch * length == 0 {
        bail!("signs: expected values, found {:?}", values.shape());
    }
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        return cuda::signs(values);
    }
    let (bits, finite): (Vec<_>, Vec<_>) = host(values)?
        .par_chunks_exact(length)
        .map(|image| {
            // all of them, which takes less time than to stop at the first
            let finite =
                image.iter().fold(true, |finite, value| finite & value.is_finite());
            (bits::pack_signs(image), finite)
        })
        .unzip();
    let bits = Tensor::from_vec(bits.concat(), (batch, length.div_ceil(8)), &Device::Cpu)?;
    Ok(Signs { bits, finite })
}

/// Some images of a batch, each pushed by its signs where its map says nothing, Eq. (1).
///
/// ```text
/// x̂ = clamp(x + ε_c · s ∘ (1 − g), 0, 1)
/// ```
///
/// The map g is brought to the image's size by [`resize::full_size`]; a map of zeros protects
/// nothing.
///
/// # Shapes
///
/// - `images`: `[B, C, H, W]`, pixels in \[0, 1\]
/// - `rows`: which of them, R
/// - `signs`: `[R, ceil(CHW/8)]`, u8, on the device of the images
/// - `maps`: `[R, h, w]`, in \[0, 1\], on the CPU
/// - `epsilon`: a step for each channel, C
/// - result: `[R, C, H, W]`, row-major
///
/// # Errors
///
/// If the shapes do not fit, if there is no such row, or if there are none.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// // one channel of two pixels, pushed up and down; of the second nothing is background
/// let x = Tensor::new(&[[[[0.25f32, 0.5]]]], &Device::Cpu)?;
/// let (signs, maps) = (Tensor::new(&[[0b01u8]], &Device::Cpu)?, [[[0f32, 1.0]]]);
/// let maps = Tensor::new(&maps, &Device::Cpu)?;
/// let pushed = ops::perturb::push(&x, &[0], &signs, &maps, &[0.125])?;
/// assert_eq!(pushed.flatten_all()?.to_vec1::<f32>()?, [0.375, 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn push(
    images: &Tensor,
    rows: &[u32],
    signs: &Tensor,
    maps: &Tensor,
    epsilon: &[f32],
) -> Result<Tensor> {
    let (batch, channels, height, width) = images.dims4()?;
    let (count, h, w) = maps.dims3()?;
    let length = channels * height * width;
    expect_signs(signs, rows.len(), length)?;
    if count != rows.len() || epsilon.len() != channels || count * h * w * length == 0 {
        let (images, maps, steps) = (images.shape(), maps.shape(), epsilon.len());
        bail!(
            "push: {} of {images:?} do not fit maps {maps:?} and {steps} steps",
            rows.len()
        );
    }
    if let Some(row) = rows.iter().find(|&&row| row as usize >= batch) {
        bail!("expected rows below {batch}, found {row}");
    }
    #[cfg(feature = "cuda")]
    if images.device().is_cuda() {
        return cuda::push(images, rows, signs, maps, epsilon);
    }
    let (x, maps) = (row_major(images)?, row_major(maps)?);
    let (x, maps) = (storage::read_row_major(&x)?, storage::read_row_major(&maps)?);
    let (x, maps, signs) = (&x[..], &maps[..], signs.flatten_all()?.to_vec1::<u8>()?);
    let mut pushed = vec![0.0; rows.len() * length];
    let signs = signs.par_chunks_exact(length.div_ceil(8));
    (pushed.par_chunks_exact_mut(length).zip(rows))
        .zip(maps.par_chunks_exact(h * w).zip(signs))
        .for_each(|((pushed, &row), (map, signs))| {
            let map = resize::full_size(map, (h, w), (height, width));
            let x = &x[row as usize * length..][..length];
            push_one(x, &bits::unpack_signs(signs, length), &map, epsilon, pushed);
        });
    tensor_row_major(pushed, (rows.len(), channels, height, width))
}

/// [`push`] of an image in any `direction`, with a map of its size.
///
/// # Shapes
///
/// - `x`, `pushed`: `[C, H, W]`
/// - `direction`: `[C, H, W]`, in \[−1, 1\]
/// - `map`: `[H, W]`
/// - `epsilon`: C
///
/// # Panics
///
/// If the shapes differ.
///
/// # Examples
///
/// ```
/// let mut pushed = [0.0; 2];
/// ops::perturb::push_one(&[0.5, 0.75], &[1.0, 1.0], &[0.0, 0.5], &[0.25], &mut pushed);
/// assert_eq!(pushed, [0.75, 0.875]);
/// ```
pub fn push_one(
    x: &[f32],
    direction: &[f32],
    map: &[f32],
    epsilon: &[f32],
    pushed: &mut [f32],
) {
    assert_eq!(x.len(), epsilon.len() * map.len(), "an image is not of its map's size");
    assert_eq!(direction.len(), x.len(), "not a direction for each pixel");
    assert_eq!(pushed.len(), x.len(), "the result is not of the image's size");
    let pixels = map.len().max(1);
    let channels = x.chunks_exact(pixels).zip(direction.chunks_exact(pixels)).zip(epsilon);
    for (((x, direction), epsilon), pushed) in channels.zip(pushed.chunks_exact_mut(pixels))
    {
        for (((x, s), g), pushed) in x.iter().zip(direction).zip(map).zip(pushed) {
            // in Captum's order, so that the two round alike
            *pushed = (x + epsilon * (1.0 - g) * s).clamp(0.0, 1.0);
        }
    }
}

/// A step by signs, and the way back to within ε of the clean image and into \[0, 1\].
///
/// ```text
/// x̂ ← clamp(x̂ + ε/4 · s, max(x − ε, 0), min(x + ε, 1))
/// ```
///
/// # Shapes
///
/// - `images`, `perturbed`: `[B, C, H, W]`, pixels in \[0, 1\]
/// - `signs`: `[B, ceil(CHW/8)]`, u8, on the device of the images
/// - result: `[B, C, H, W]`, row-major
///
/// # Errors
///
/// If the shapes differ.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// // up; up, but 0.5 is as far as ε goes; down, but not below 0
/// let x = Tensor::new(&[[[[0.5f32, 0.25, 0.125]]]], &Device::Cpu)?;
/// let perturbed = Tensor::new(&[[[[0.5f32, 0.5, 0.0]]]], &Device::Cpu)?;
/// let signs = Tensor::new(&[[0b011u8]], &Device::Cpu)?;
/// let next = ops::perturb::pgd_step(&x, &perturbed, &signs, 0.25)?;
/// assert_eq!(next.flatten_all()?.to_vec1::<f32>()?, [0.5625, 0.5, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pgd_step(
    images: &Tensor,
    perturbed: &Tensor,
    signs: &Tensor,
    epsilon: f32,
) -> Result<Tensor> {
    let (batch, channels, height, width) = images.dims4()?;
    let length = channels * height * width;
    expect_signs(signs, batch, length)?;
    if images.shape() != perturbed.shape() {
        let (a, b) = (images.shape(), perturbed.shape());
        bail!("pgd_step: expected images of one shape, found {a:?} and {b:?}");
    }
    #[cfg(feature = "cuda")]
    if images.device().is_cuda() {
        return cuda::pgd_step(images, perturbed, signs, epsilon);
    }
    let (x, mut pixels) = (row_major(images)?, host(perturbed)?);
    let x = storage::read_row_major(&x)?;
    let signs = signs.flatten_all()?.to_vec1::<u8>()?;
    let step = epsilon / 4.0;
    (pixels.par_chunks_exact_mut(length.max(1)).zip(x.par_chunks_exact(length.max(1))))
        .zip(signs.par_chunks_exact(length.div_ceil(8).max(1)))
        .for_each(|((pixels, x), signs)| {
            let signs = bits::unpack_signs(signs, length);
            for ((pixel, &x), sign) in pixels.iter_mut().zip(x).zip(signs) {
                let (low, high) = ((x - epsilon).max(0.0), (x + epsilon).min(1.0));
                *pixel = (*pixel + step * sign).clamp(low, high);
            }
        });
    tensor_row_major(pixels, images.shape())
}

/// # Errors
///
/// If these are not the signs of so many images of so many values.
fn expect_signs(signs: &Tensor, images: usize, length: usize) -> Result<()> {
    let expected = [images, length.div_ceil(8)];
    if signs.dims() != expected || signs.dtype() != DType::U8 {
        let (shape, dtype) = (signs.shape(), signs.dtype());
        bail!(
            "expected the signs of {images} images as u8 {expected:?}, found {dtype:?} {shape:?}"
        );
    }
    Ok(())
}
