use image::{Rgb, RgbImage, imageops::replace};

use crate::number;

/// An image beside what is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Written above.
    pub number: u32,
    /// On the left.
    pub image: RgbImage,
    /// On the right, of the same size.
    pub overlay: RgbImage,
}

/// White between pairs, and around a number.
const GAP: u32 = 8;

/// White between the two of a pair.
const SEAM: u32 = 2;

/// Pairs row by row on white, each under its number.
///
/// # Panics
///
/// If there is no pair or no column, or if the pictures are not all of one size.
pub fn sheet(pairs: &[Pair], columns: usize) -> RgbImage {
    let (width, height) = pairs[0].image.dimensions();
    let columns = columns.min(pairs.len());
    let rows = pairs.len().div_ceil(columns);
    let title = number::HEIGHT + GAP;
    let cell = (2 * width + SEAM + GAP, title + height + GAP);
    let size = (GAP + columns as u32 * cell.0, GAP + rows as u32 * cell.1);
    let mut sheet = RgbImage::from_pixel(size.0, size.1, Rgb([255; 3]));
    for (i, pair) in pairs.iter().enumerate() {
        assert_eq!(pair.image.dimensions(), (width, height), "one size");
        assert_eq!(pair.overlay.dimensions(), (width, height), "one size");
        let left = GAP + (i % columns) as u32 * cell.0;
        let top = GAP + (i / columns) as u32 * cell.1;
        number::draw(&mut sheet, (left, top), pair.number);
        let top = i64::from(top + title);
        replace(&mut sheet, &pair.image, i64::from(left), top);
        replace(&mut sheet, &pair.overlay, i64::from(left + width + SEAM), top);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(number: u32) -> Pair {
        let level = 10 * number as u8;
        let [image, overlay] =
            [level, level + 1].map(|level| RgbImage::from_pixel(20, 30, Rgb([level; 3])));
        Pair { number, image, overlay }
    }

    #[test]
    fn pairs_follow_one_another_in_rows() {
        let sheet = sheet(&[pair(1), pair(2), pair(3)], 2);
        // a pair is 20 + 2 + 20 wide with 8 after it; 10 + 8 of title, 30 of picture, 8 after it
        assert_eq!(sheet.dimensions(), (8 + 2 * 50, 8 + 2 * 56));
        let level = |x, y| sheet.get_pixel(x, y).0[0];
        assert_eq!(level(8, 26), 10);
        assert_eq!(level(30, 26), 11);
        assert_eq!(level(58, 26), 20);
        assert_eq!(level(8, 82), 30);
        // between the two of a pair, and where a fourth would be
        assert_eq!((level(28, 26), level(58, 82)), (255, 255));
    }

    #[test]
    fn few_pairs_take_no_more_columns_than_they_are() {
        assert_eq!(sheet(&[pair(1)], 4).width(), 8 + 50);
    }

    #[test]
    fn a_pair_is_under_its_number() {
        let [one, two] = [1, 2].map(|number| {
            let pair = Pair { number, ..pair(0) };
            sheet(&[pair], 1)
        });
        assert_ne!(one, two);
    }
}
