//! Images and maps as data URIs.

use std::io::Cursor;

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ImageFormat, Rgb, RgbImage};

/// How much of a map's colour covers the image.
const OPACITY: f32 = 0.55;

/// An image u8 `[3, H, W]` as a PNG in a data URI.
pub(crate) fn plain(image: &[u8], size: [usize; 2]) -> anyhow::Result<String> {
    draw(size, |i| rgb(image, i))
}

/// The same with a map f32 `[H, W]` in \[0, 1\] laid over it, in a perceptually uniform
/// colour map (inferno).
pub(crate) fn overlay(
    image: &[u8],
    map: &[f32],
    size: [usize; 2],
) -> anyhow::Result<String> {
    draw(size, |i| {
        let colour = colorous::INFERNO.eval_continuous(f64::from(map[i].clamp(0.0, 1.0)));
        let mut pixel = rgb(image, i);
        for (under, over) in pixel.iter_mut().zip([colour.r, colour.g, colour.b]) {
            *under =
                ((1.0 - OPACITY) * f32::from(*under) + OPACITY * f32::from(over)) as u8;
        }
        pixel
    })
}

fn rgb(image: &[u8], i: usize) -> [u8; 3] {
    let plane = image.len() / 3;
    [image[i], image[plane + i], image[2 * plane + i]]
}

fn draw(
    [height, width]: [usize; 2],
    pixel: impl Fn(usize) -> [u8; 3],
) -> anyhow::Result<String> {
    let picture = RgbImage::from_fn(width as u32, height as u32, |x, y| {
        Rgb(pixel(y as usize * width + x as usize))
    });
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).context("cannot encode a picture")?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_back_as_it_was() {
        let uri = plain(&[255, 0, 0, 255, 7, 9], [1, 2]).unwrap();
        let png =
            STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(picture.get_pixel(0, 0).0, [255, 0, 7]);
        assert_eq!(picture.get_pixel(1, 0).0, [0, 255, 9]);
    }
}
