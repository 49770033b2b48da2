use image::RgbImage;

use crate::Colours;

/// How much of a map's colour covers the image.
const OPACITY: f32 = 0.55;

/// A map laid over its image.
///
/// ```text
/// pixel = ⌊0.45 · image + 0.55 · colour(map)⌋
/// ```
///
/// # Shapes
///
/// - `image`: H by W
/// - `map`: `[H, W]`, in \[0, 1\]
///
/// # Panics
///
/// If the map has another size.
pub fn overlay(image: &RgbImage, map: &[f32], colours: Colours) -> RgbImage {
    assert_eq!(map.len(), image.pixels().len(), "a value a pixel");
    let mut picture = image.clone();
    for (pixel, &value) in picture.pixels_mut().zip(map) {
        for (under, over) in pixel.0.iter_mut().zip(colours.rgb(value)) {
            *under =
                ((1.0 - OPACITY) * f32::from(*under) + OPACITY * f32::from(over)) as u8;
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_planes;

    #[test]
    fn colours_cover_a_little_more_than_half() {
        // white, black, and under it jet's blue (0, 0, 128) and red (128, 0, 0)
        let image = from_planes(&[255, 0, 255, 0, 255, 0], [1, 2]);
        let picture = overlay(&image, &[0.0, 1.0], Colours::Jet);
        // 0.45 · 255 = 114.75, 0.55 · 128 = 70.4
        assert_eq!(picture.get_pixel(0, 0).0, [114, 114, 185]);
        assert_eq!(picture.get_pixel(1, 0).0, [70, 0, 0]);
    }

    #[test]
    fn rows_of_the_map_are_rows_of_the_image() {
        let image = RgbImage::new(2, 3);
        let picture = overlay(&image, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], Colours::Jet);
        let red: Vec<_> = picture.enumerate_pixels().filter(|(.., p)| p.0[0] > 0).collect();
        assert_eq!(red.len(), 1);
        assert_eq!((red[0].0, red[0].1), (1, 1));
    }
}
