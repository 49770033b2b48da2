use std::io::Cursor;

use image::{ImageFormat, ImageResult, Rgb, RgbImage};

/// The image of three planes.
///
/// # Shapes
///
/// - `planes`: `[3, H, W]`, as in a pack
///
/// # Panics
///
/// If there are not as many bytes.
pub fn from_planes(planes: &[u8], [height, width]: [usize; 2]) -> RgbImage {
    let area = height * width;
    assert_eq!(planes.len(), 3 * area, "three planes of {height}x{width}");
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let i = y as usize * width + x as usize;
        Rgb([planes[i], planes[area + i], planes[2 * area + i]])
    })
}

/// The picture as the bytes of a PNG file, the same for equal pixels.
///
/// # Errors
///
/// If it has no pixels.
pub fn png(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_back_as_it_was() {
        let picture = from_planes(&[255, 0, 0, 255, 7, 9], [1, 2]);
        assert_eq!(picture.get_pixel(0, 0).0, [255, 0, 7]);
        assert_eq!(picture.get_pixel(1, 0).0, [0, 255, 9]);
        let file = png(&picture).unwrap();
        assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8(), picture);
    }

    #[test]
    fn a_picture_without_pixels_is_no_file() {
        assert!(png(&RgbImage::new(0, 3)).is_err());
    }
}
