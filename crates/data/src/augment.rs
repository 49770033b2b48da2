//! What training does to an image before it is seen.

use crate::random::{Purpose, Stream};

/// Attempts at a crop of the wished area and ratio before the whole image is taken.
const ATTEMPTS: usize = 10;

/// Random alterations of training images, after torchvision's transforms of these names.
///
/// In this order: random resized crop, padded random crop, horizontal flip, colour jitter.
/// The default alters nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    /// Mirror left and right with probability ½.
    pub flip: bool,
    /// Pad by this many black pixels and crop to the size again.
    pub crop: Option<usize>,
    /// Cut out a share of the area in this range, of ratio 3/4 to 4/3, and resize it.
    pub resized_crop: Option<(f32, f32)>,
    /// Change brightness, contrast and saturation by factors of up to 1 ± this.
    ///
    /// Always in that order, where torchvision draws the order too.
    pub jitter: Option<f32>,
}

impl Augment {
    /// Writes the altered image to `out` as numbers in \[0, 1\].
    ///
    /// A pure function of its arguments: of (seed, epoch, sample) for the random choices.
    ///
    /// # Shapes
    ///
    /// - `image`: `[3, h, w]`, RGB
    /// - `out`: `[3, h, w]`
    ///
    /// # Panics
    ///
    /// If `image` or `out` is of another length.
    #[expect(clippy::too_many_arguments, reason = "an image, its size, and its key")]
    pub fn apply(
        &self,
        image: &[u8],
        h: usize,
        w: usize,
        out: &mut [f32],
        seed: u64,
        epoch: u32,
        sample: u32,
    ) {
        assert_eq!(image.len(), 3 * h * w, "an image is [3, h, w]");
        assert_eq!(out.len(), image.len(), "the altered image has the image's size");
        if *self == Self::default() {
            for (to, from) in out.iter_mut().zip(image) {
                *to = f32::from(*from) / 255.0;
            }
            return;
        }
        let key = [seed, u64::from(epoch), u64::from(sample)];
        let mut stream = Stream::new(Purpose::Augment, key);
        let window = match self.resized_crop {
            Some(scale) => Window::draw(h, w, scale, &mut stream),
            None => Window::whole(h, w),
        };
        let shift = match self.crop {
            Some(padding) => [0, 1].map(|_| {
                stream.below(2 * padding + 1).cast_signed() - padding.cast_signed()
            }),
            None => [0, 0],
        };
        let mirrored = self.flip && stream.chance(0.5);
        for (channel, out) in out.chunks_exact_mut(h * w).enumerate() {
            let plane = &image[channel * h * w..(channel + 1) * h * w];
            for (y, row) in out.chunks_exact_mut(w).enumerate() {
                for (x, pixel) in row.iter_mut().enumerate() {
                    let x = if mirrored { w - 1 - x } else { x };
                    let (y, x) =
                        (y.checked_add_signed(shift[0]), x.checked_add_signed(shift[1]));
                    *pixel = match (y, x) {
                        (Some(y), Some(x)) if y < h && x < w => {
                            window.at(plane, (h, w), y, x)
                        }
                        _ => 0.0,
                    };
                }
            }
        }
        if let Some(strength) = self.jitter {
            let factors = [0, 1, 2]
                .map(|_| stream.between((1.0 - strength).max(0.0), 1.0 + strength));
            jitter(out, factors);
        }
    }
}

/// The part of an image that is stretched over all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

impl Window {
    fn whole(height: usize, width: usize) -> Self {
        Self { top: 0, left: 0, height, width }
    }

    fn draw(h: usize, w: usize, scale: (f32, f32), stream: &mut Stream) -> Self {
        let ratios = (0.75f32.ln(), (4.0f32 / 3.0).ln());
        for _ in 0..ATTEMPTS {
            let area = (h * w) as f32 * stream.between(scale.0, scale.1);
            let ratio = stream.between(ratios.0, ratios.1).exp();
            let width = (area * ratio).sqrt().round() as usize;
            let height = (area / ratio).sqrt().round() as usize;
            if (1..=h).contains(&height) && (1..=w).contains(&width) {
                let top = stream.below(h - height + 1);
                let left = stream.below(w - width + 1);
                return Self { top, left, height, width };
            }
        }
        Self::whole(h, w)
    }

    /// The pixel at (y, x) of the stretched window: bilinear, half-pixel centres, edges
    /// repeated, no antialias.
    fn at(self, plane: &[u8], (h, w): (usize, usize), y: usize, x: usize) -> f32 {
        if self == Self::whole(h, w) {
            return f32::from(plane[y * w + x]) / 255.0;
        }
        let (y0, y1, fy) = between(y, h, self.height);
        let (x0, x1, fx) = between(x, w, self.width);
        let pixel = |y, x| f32::from(plane[(self.top + y) * w + self.left + x]) / 255.0;
        let upper = pixel(y0, x0) * (1.0 - fx) + pixel(y0, x1) * fx;
        let lower = pixel(y1, x0) * (1.0 - fx) + pixel(y1, x1) * fx;
        upper * (1.0 - fy) + lower * fy
    }
}

/// The two of `from` pixels that pixel `i` of `to` lies between, and how far along.
fn between(i: usize, to: usize, from: usize) -> (usize, usize, f32) {
    let position = (i as f32 + 0.5) * from as f32 / to as f32 - 0.5;
    let position = position.clamp(0.0, (from - 1) as f32);
    let first = position as usize;
    (first, (first + 1).min(from - 1), position - first as f32)
}

/// Brightness, contrast (about the mean grey) and saturation (about each pixel's grey).
fn jitter(out: &mut [f32], [brightness, contrast, saturation]: [f32; 3]) {
    for pixel in out.iter_mut() {
        *pixel = (*pixel * brightness).min(1.0);
    }
    let (red, rest) = out.split_at_mut(out.len() / 3);
    let (green, blue) = rest.split_at_mut(red.len());
    let grey = |r: f32, g: f32, b: f32| 0.2989 * r + 0.587 * g + 0.114 * b;
    let sum: f32 =
        (red.iter().zip(&*green).zip(&*blue)).map(|((r, g), b)| grey(*r, *g, *b)).sum();
    let mean = sum / red.len() as f32;
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        for pixel in [&mut *r, &mut *g, &mut *b] {
            *pixel = (mean + (*pixel - mean) * contrast).clamp(0.0, 1.0);
        }
        let grey = grey(*r, *g, *b);
        for pixel in [r, g, b] {
            *pixel = (grey + (*pixel - grey) * saturation).clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: Augment = Augment {
        flip: true,
        crop: Some(2),
        resized_crop: Some((0.3, 1.0)),
        jitter: Some(0.4),
    };

    fn image(h: usize, w: usize) -> Vec<u8> {
        (0..3 * h * w).map(|i| (i * 37 % 256) as u8).collect()
    }

    fn apply(augment: &Augment, epoch: u32, sample: u32) -> Vec<f32> {
        let mut out = vec![0.0; 3 * 6 * 5];
        augment.apply(&image(6, 5), 6, 5, &mut out, 1, epoch, sample);
        out
    }

    #[test]
    fn the_default_alters_nothing() {
        let expected: Vec<f32> =
            image(6, 5).iter().map(|&v| f32::from(v) / 255.0).collect();
        assert_eq!(apply(&Augment::default(), 3, 4), expected);
    }

    #[test]
    fn the_key_decides_and_nothing_else() {
        assert_eq!(apply(&EVERYTHING, 3, 4), apply(&EVERYTHING, 3, 4));
        assert_ne!(apply(&EVERYTHING, 3, 4), apply(&EVERYTHING, 4, 4));
        assert_ne!(apply(&EVERYTHING, 3, 4), apply(&EVERYTHING, 3, 5));
    }

    #[test]
    fn pixels_stay_between_black_and_white() {
        for sample in 0..200 {
            let out = apply(&EVERYTHING, 0, sample);
            assert!(out.iter().all(|v| (0.0..=1.0).contains(v)), "sample {sample}");
        }
    }

    #[test]
    fn a_flip_mirrors_half_of_the_images() {
        let plain = apply(&Augment::default(), 0, 0);
        let mirror: Vec<f32> =
            plain.chunks(5).flat_map(|row| row.iter().rev().copied()).collect();
        let flip = Augment { flip: true, ..Augment::default() };
        let mirrored =
            (0..1000).filter(|&sample| apply(&flip, 0, sample) == mirror).count();
        let kept = (0..1000).filter(|&sample| apply(&flip, 0, sample) == plain).count();
        assert_eq!(mirrored + kept, 1000);
        assert!((450..550).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn a_padded_crop_shifts_and_fills_with_black() {
        let plain = apply(&Augment::default(), 0, 0);
        let crop = Augment { crop: Some(1), ..Augment::default() };
        let shifted = |dy: isize, dx: isize| -> Vec<f32> {
            let pixel = |c: usize, y: usize, x: usize| {
                let (y, x) = (y.checked_add_signed(dy), x.checked_add_signed(dx));
                match (y, x) {
                    (Some(y), Some(x)) if y < 6 && x < 5 => plain[c * 30 + y * 5 + x],
                    _ => 0.0,
                }
            };
            (0..90).map(|i| pixel(i / 30, i / 5 % 6, i % 5)).collect()
        };
        let mut seen = [false; 9];
        for sample in 0..200 {
            let out = apply(&crop, 0, sample);
            let place = (0..9).find(|i| out == shifted(i / 3 - 1, i % 3 - 1)).unwrap();
            seen[place.cast_unsigned()] = true;
        }
        assert_eq!(seen, [true; 9]);
    }

    #[test]
    fn a_window_is_stretched_bilinearly() {
        // columns 0 and 255 of a 1×2 window over 4 pixels: centres at -0.25, 0.25, 0.75, 1.25
        let window = Window { top: 0, left: 1, height: 1, width: 2 };
        let plane = [9, 0, 255, 9];
        let row = [0, 1, 2, 3].map(|x| window.at(&plane, (1, 4), 0, x));
        assert_eq!(row, [0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn colours_are_jittered_as_by_hand() {
        // brightness: (.5, .25, 0) * 1; mean grey of one pixel is its grey, 0.2962
        let mut pixel = [0.5, 0.25, 0.0];
        jitter(&mut pixel, [1.0, 1.0, 0.0]);
        for channel in pixel {
            assert!((channel - 0.2962).abs() < 1e-6, "{channel}");
        }
        let mut bright = [0.5, 0.5, 0.5];
        jitter(&mut bright, [1.5, 1.0, 1.0]);
        assert!(bright.iter().all(|v| (v - 0.75).abs() < 1e-6), "{bright:?}");
    }
}
