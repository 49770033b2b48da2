//! Numbers in pixels, without a font.

use image::{Rgb, RgbImage};

/// The ten digits in five rows of three pixels; the highest bit of a row is its left one.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// Side of the squares that digits are made of.
const SQUARE: u32 = 2;

/// Height of a number.
pub(crate) const HEIGHT: u32 = 5 * SQUARE;

/// Draws `number` in black, its upper left corner at (`left`, `top`); what lies outside of the
/// picture is not drawn.
pub(crate) fn draw(picture: &mut RgbImage, (left, top): (u32, u32), number: u32) {
    for (at, digit) in number.to_string().bytes().enumerate() {
        let left = left + 4 * SQUARE * at as u32;
        let rows = DIGITS[usize::from(digit - b'0')];
        for (y, x) in (0..HEIGHT).flat_map(|y| (0..3 * SQUARE).map(move |x| (y, x))) {
            let is_set = rows[(y / SQUARE) as usize] >> (2 - x / SQUARE) & 1 == 1;
            if is_set && let Some(pixel) = picture.get_pixel_mut_checked(left + x, top + y)
            {
                *pixel = Rgb([0; 3]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_side_by_side() {
        let mut picture = RgbImage::from_pixel(15, 11, Rgb([255; 3]));
        draw(&mut picture, (1, 1), 17);
        let drawn: Vec<String> = (1..=HEIGHT)
            .step_by(2)
            .map(|y| {
                let black = |x: &u32| picture.get_pixel(*x, y).0 == [0; 3];
                (1..15).step_by(2).map(|x| if black(&x) { '#' } else { '.' }).collect()
            })
            .collect();
        assert_eq!(drawn, [".#..###", "##....#", ".#...#.", ".#...#.", "###..#."]);
    }

    #[test]
    fn what_does_not_fit_is_cut() {
        let mut picture = RgbImage::from_pixel(3, 3, Rgb([255; 3]));
        draw(&mut picture, (1, 1), u32::MAX);
        assert_eq!(picture.get_pixel(0, 0).0, [255; 3]);
    }
}
