//! Images and maps as data URIs.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use pictures::{Colours, RgbImage};

/// An image u8 `[3, H, W]` as a PNG in a data URI.
pub(crate) fn plain(image: &[u8], size: [usize; 2]) -> anyhow::Result<String> {
    uri(&pictures::from_planes(image, size))
}

/// The same with a map f32 `[H, W]` in \[0, 1\] laid over it.
pub(crate) fn overlay(
    image: &[u8],
    map: &[f32],
    size: [usize; 2],
) -> anyhow::Result<String> {
    uri(&pictures::overlay(&pictures::from_planes(image, size), map, Colours::Inferno))
}

fn uri(picture: &RgbImage) -> anyhow::Result<String> {
    let png = pictures::png(picture).context("cannot encode a picture")?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_the_png_of_its_pixels() {
        let uri = plain(&[255, 0, 0, 255, 7, 9], [1, 2]).unwrap();
        let png =
            STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let picture = pictures::from_planes(&[255, 0, 0, 255, 7, 9], [1, 2]);
        assert_eq!(png, pictures::png(&picture).unwrap());
    }
}
