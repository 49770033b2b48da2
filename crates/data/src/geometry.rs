//! How an image and its mask come to the size of a pack.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};

/// How an image that is not square becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Both sides are brought to the size; the aspect changes.
    Squash,
    /// The shorter side is brought to the size and the centre is cut out, as torchvision's
    /// `Resize(size)` followed by `CenterCrop(size)`.
    Crop,
}

/// The square that every image of a pack is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Height and width of the square.
    pub size: usize,
    /// What happens to other aspects.
    pub fit: Fit,
}

/// Where the square lies in the resized, not yet cut image.
struct Placement {
    height: usize,
    width: usize,
    top: usize,
    left: usize,
}

impl Geometry {
    /// Brings interleaved RGB `[h, w, 3]` to planar `[3, size, size]`.
    ///
    /// Resampling is bilinear with its support widened when shrinking (antialiased), in
    /// fixed-point arithmetic: to within one level what PIL's `BILINEAR` does, and hence
    /// torchvision's `Resize` on a PIL image. Masks follow by [`Geometry::mask`].
    pub fn image(self, rgb: &[u8], height: usize, width: usize) -> Vec<u8> {
        let at = self.placement(height, width);
        let resized = if (at.height, at.width) == (height, width) {
            planar(rgb, width, &at, self.size)
        } else {
            let whole = resize(rgb, (height, width), (at.height, at.width));
            planar(&whole, at.width, &at, self.size)
        };
        debug_assert_eq!(resized.len(), 3 * self.size * self.size);
        resized
    }

    /// Brings a mask `[h, w]` to `[size, size]` by the nearest pixel, on the geometry of
    /// [`Geometry::image`]: no value appears that was not there.
    ///
    /// ```
    /// use data::{Fit, Geometry};
    ///
    /// // The 2×4 mask is squashed to 2×2: pixel centres 0.5 and 1.5 fall on columns 1 and 3.
    /// let square = Geometry { size: 2, fit: Fit::Squash };
    /// assert_eq!(square.mask(&[0, 1, 2, 3, 4, 5, 6, 7], 2, 4), [1, 3, 5, 7]);
    /// // Cropped, its middle columns remain.
    /// let square = Geometry { size: 2, fit: Fit::Crop };
    /// assert_eq!(square.mask(&[0, 1, 2, 3, 4, 5, 6, 7], 2, 4), [1, 2, 5, 6]);
    /// ```
    pub fn mask(self, mask: &[u8], height: usize, width: usize) -> Vec<u8> {
        let at = self.placement(height, width);
        let columns: Vec<usize> =
            (0..self.size).map(|x| nearest(x + at.left, at.width, width)).collect();
        let mut out = Vec::with_capacity(self.size * self.size);
        for y in 0..self.size {
            let row = nearest(y + at.top, at.height, height) * width;
            out.extend(columns.iter().map(|x| mask[row + x]));
        }
        out
    }

    fn placement(self, height: usize, width: usize) -> Placement {
        let size = self.size;
        match self.fit {
            Fit::Squash => Placement { height: size, width: size, top: 0, left: 0 },
            Fit::Crop => {
                // The longer side is rounded down, as torchvision does.
                let short = height.min(width);
                let (h, w) = (size * height / short, size * width / short);
                Placement {
                    height: h,
                    width: w,
                    top: centre(h - size),
                    left: centre(w - size),
                }
            }
        }
    }
}

/// Half of `spare`, halves to the even number, as Python's `round` in `CenterCrop`.
fn centre(spare: usize) -> usize {
    (spare as f64 / 2.0).round_ties_even() as usize
}

/// The source pixel under the centre of target pixel `at` when `from` become `to`; of two
/// at whose border it lies, the later (PIL, which adds up floats, may take either).
fn nearest(at: usize, to: usize, from: usize) -> usize {
    ((2 * at + 1) * from / (2 * to)).min(from - 1)
}

fn resize(rgb: &[u8], (h, w): (usize, usize), (height, width): (usize, usize)) -> Vec<u8> {
    let source = TypedImageRef::<U8x3>::from_buffer(w as u32, h as u32, rgb)
        .expect("the buffer holds h·w pixels");
    let mut resized = vec![0; 3 * height * width];
    let mut target =
        TypedImage::<U8x3>::from_buffer(width as u32, height as u32, &mut resized)
            .expect("the buffer holds height·width pixels");
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new()
        // typed: the untyped call would compile every kind of pixel, for minutes
        .resize_typed(&source, &mut target, &options)
        .expect("none of the images is empty");
    resized
}

/// The square at `at` of interleaved pixels in rows of `width`, channel by channel.
fn planar(rgb: &[u8], width: usize, at: &Placement, size: usize) -> Vec<u8> {
    let mut out = vec![0; 3 * size * size];
    let (red, rest) = out.split_at_mut(size * size);
    let (green, blue) = rest.split_at_mut(size * size);
    for y in 0..size {
        let first = 3 * ((at.top + y) * width + at.left);
        let row = y * size..(y + 1) * size;
        let planes = red[row.clone()].iter_mut().zip(&mut green[row.clone()]);
        let pixels = rgb[first..first + 3 * size].chunks_exact(3);
        for (((red, green), blue), pixel) in planes.zip(&mut blue[row]).zip(pixels) {
            (*red, *green, *blue) = (pixel[0], pixel[1], pixel[2]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&v| [v, v, v]).collect()
    }

    #[test]
    fn an_image_of_the_right_size_is_only_made_planar() {
        let square = Geometry { size: 2, fit: Fit::Squash };
        let rgb = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(square.image(&rgb, 2, 2), [1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12]);
    }

    /// `PIL.Image.fromarray(a).resize((2, 2), PIL.Image.BILINEAR)` with
    /// `a = np.array([[0, 10, 200, 90], [50, 255, 30, 7], [9, 80, 70, 160], [3, 0, 250, 33]], 'u1')`.
    #[test]
    fn shrinking_agrees_with_pil_to_within_a_level() {
        let a = grey(&[0, 10, 200, 90, 50, 255, 30, 7, 9, 80, 70, 160, 3, 0, 250, 33]);
        let square = Geometry { size: 2, fit: Fit::Squash };
        for (ours, pil) in square.image(&a, 4, 4).into_iter().zip([79u8, 92, 56, 106]) {
            assert!(ours.abs_diff(pil) <= 1, "{ours} {pil}");
        }
    }

    #[test]
    fn cropping_keeps_the_centre_of_either_aspect() {
        let square = Geometry { size: 1, fit: Fit::Crop };
        assert_eq!(square.image(&grey(&[10, 20, 30]), 1, 3), [20; 3]);
        assert_eq!(square.image(&grey(&[10, 20, 30]), 3, 1), [20; 3]);
        assert_eq!(square.mask(&[10, 20, 30], 1, 3), [20]);

        // pixel i is (3i, 3i + 1, 3i + 2): columns 1 and 2 of four, rows 1 and 2 of four
        let rgb: Vec<u8> = (0..24).collect();
        let square = Geometry { size: 2, fit: Fit::Crop };
        assert_eq!(square.image(&rgb, 2, 4), [3, 6, 15, 18, 4, 7, 16, 19, 5, 8, 17, 20]);
        assert_eq!(square.image(&rgb, 4, 2), [6, 9, 12, 15, 7, 10, 13, 16, 8, 11, 14, 17]);
    }
}
