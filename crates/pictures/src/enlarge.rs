use image::RgbImage;

/// The picture with each pixel as a square of `factor` by `factor`: no value appears that was
/// not there.
///
/// # Panics
///
/// If the factor is 0.
pub fn enlarge(picture: &RgbImage, factor: u32) -> RgbImage {
    assert!(factor > 0, "a pixel does not vanish");
    let (width, height) = (picture.width() * factor, picture.height() * factor);
    RgbImage::from_fn(width, height, |x, y| *picture.get_pixel(x / factor, y / factor))
}

/// The least factor by which the shorter side of a picture reaches `side` pixels.
///
/// ```
/// assert_eq!(pictures::factor([64, 64], 192), 3);
/// assert_eq!(pictures::factor([96, 100], 192), 2);
/// assert_eq!(pictures::factor([224, 224], 192), 1);
/// ```
///
/// # Panics
///
/// If the picture has no pixels.
pub fn factor([height, width]: [usize; 2], side: usize) -> u32 {
    side.div_ceil(height.min(width)).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_planes;

    #[test]
    fn a_pixel_becomes_a_square() {
        let picture = from_planes(&[1, 2, 3, 4, 5, 6], [1, 2]);
        let large = enlarge(&picture, 2);
        assert_eq!(large.dimensions(), (4, 2));
        let red: Vec<_> = large.pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(red, [1, 1, 2, 2, 1, 1, 2, 2]);
        assert_eq!(enlarge(&picture, 1), picture);
    }
}
