//! Masks as their owners store them, before their values are given a meaning.

use std::{
    fs::{self, File},
    io::Cursor,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use png::{BitDepth, ColorType, Transformations};

use crate::{BadFile, npy};

/// Where a mask lies and what its stored values mean in a pack.
#[derive(Clone, Debug)]
pub struct MaskSource {
    /// The file, and how it is read.
    pub file: MaskFile,
    /// `meaning[v]` is what the stored value v becomes: 0 background, class index + 1,
    /// 255 void.
    pub meaning: Arc<[u8; 256]>,
}

/// How a mask is stored.
#[derive(Clone, Debug)]
pub enum MaskFile {
    /// A PNG: palette indices, or grey levels brought to eight bits.
    Png(PathBuf),
    /// A `.npy` matrix of `bool` or `u8`.
    Npy(PathBuf),
    /// One of many square matrices of bytes in a row.
    Matrix {
        /// The file that holds all of them.
        path: PathBuf,
        /// Height and width of each.
        side: usize,
        /// Which of them.
        index: usize,
    },
    /// A bounding box: 1 inside, 0 outside.
    Box {
        /// The list it stands in.
        path: PathBuf,
        /// First and past the last column, in pixels of the image.
        columns: [f32; 2],
        /// First and past the last row, in pixels of the image.
        rows: [f32; 2],
    },
}

/// A mask in its own size.
pub(crate) struct Mask {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<u8>,
    /// The bytes it was read from.
    pub(crate) stored: Vec<u8>,
}

impl MaskFile {
    /// The file on disk.
    pub fn path(&self) -> &Path {
        match self {
            Self::Png(path)
            | Self::Npy(path)
            | Self::Matrix { path, .. }
            | Self::Box { path, .. } => path,
        }
    }

    /// Does a cell of the mask stand for several pixels of its image?
    pub(crate) fn is_coarse(&self) -> bool {
        matches!(self, Self::Matrix { .. })
    }

    /// Reads the stored values; a box is drawn on an image of that height and width.
    pub(crate) fn read(&self, image: [usize; 2]) -> Result<Mask, BadFile> {
        let bad = |reason: String| BadFile { path: self.path().to_owned(), reason };
        let (stored, height, width, values) = match self {
            Self::Png(path) => return png(path),
            Self::Npy(path) => {
                let stored = fs::read(path).map_err(|e| bad(e.to_string()))?;
                let matrix = npy::read(&stored).map_err(bad)?;
                (stored, matrix.height, matrix.width, matrix.values)
            }
            Self::Matrix { path, side, index } => {
                let mut values = vec![0; side * side];
                let at = (index * side * side) as u64;
                File::open(path)
                    .and_then(|file| file.read_exact_at(&mut values, at))
                    .map_err(|e| bad(e.to_string()))?;
                (values.clone(), *side, *side, values)
            }
            Self::Box { columns, rows, .. } => {
                let numbers = columns.iter().chain(rows);
                let stored = numbers.flat_map(|edge| edge.to_le_bytes()).collect();
                (stored, image[0], image[1], box_values(*columns, *rows, image))
            }
        };
        Ok(Mask { height, width, values, stored })
    }
}

/// Reads a mask that is a PNG.
pub(crate) fn png(path: &Path) -> Result<Mask, BadFile> {
    let bad = |reason: String| BadFile { path: path.to_owned(), reason };
    let stored = fs::read(path).map_err(|e| bad(e.to_string()))?;
    let (height, width, values) = png_values(&stored).map_err(bad)?;
    Ok(Mask { height, width, values, stored })
}

/// 1 for the pixels whose centre lies in the box.
fn box_values(columns: [f32; 2], rows: [f32; 2], [height, width]: [usize; 2]) -> Vec<u8> {
    let inside =
        |at: usize, [first, end]: [f32; 2]| (first..end).contains(&(at as f32 + 0.5));
    (0..height * width)
        .map(|i| u8::from(inside(i / width, rows) && inside(i % width, columns)))
        .collect()
}

/// Palette indices as they are stored; grey levels scaled to eight bits. Colours are no
/// class numbers: an RGB mask is taken only if it is grey everywhere.
fn png_values(file: &[u8]) -> Result<(usize, usize, Vec<u8>), String> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let size = reader.output_buffer_size().ok_or("the image is too large")?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(|e| e.to_string())?;
    let (height, width) = (frame.height as usize, frame.width as usize);

    let channels = frame.color_type.samples();
    let mut values = Vec::with_capacity(height * width);
    for row in buffer[..frame.buffer_size()].chunks_exact(frame.line_size) {
        let samples = unpack(row, frame.bit_depth, width * channels, frame.color_type);
        match frame.color_type {
            ColorType::Indexed | ColorType::Grayscale => values.extend(samples),
            ColorType::GrayscaleAlpha => values.extend(samples.iter().step_by(2)),
            ColorType::Rgb | ColorType::Rgba => {
                for pixel in samples.chunks_exact(channels) {
                    if pixel[0] != pixel[1] || pixel[1] != pixel[2] {
                        return Err(
                            "a coloured PNG without a palette is no mask".to_owned()
                        );
                    }
                    values.push(pixel[0]);
                }
            }
        }
    }
    Ok((height, width, values))
}

/// The first `count` samples of a row, one a byte.
fn unpack(row: &[u8], depth: BitDepth, count: usize, color: ColorType) -> Vec<u8> {
    let bits = match depth {
        BitDepth::Eight => return row[..count].to_vec(),
        // The high byte is the level in eight bits.
        BitDepth::Sixteen => {
            return row.chunks_exact(2).take(count).map(|s| s[0]).collect();
        }
        BitDepth::One => 1,
        BitDepth::Two => 2,
        BitDepth::Four => 4,
    };
    let most = (1u8 << bits) - 1;
    let scale = if color == ColorType::Indexed { 1 } else { 255 / most };
    let sample = |i: usize| {
        let bit = i * bits;
        (row[bit / 8] >> (8 - bits - bit % 8)) & most
    };
    (0..count).map(|i| sample(i) * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(color: ColorType, depth: BitDepth, width: u32, rows: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![7; 3 * 16]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(rows).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn a_palette_png_gives_its_indices() {
        let file = png(ColorType::Indexed, BitDepth::Eight, 2, &[0, 15, 3, 1]);
        assert_eq!(png_values(&file).unwrap(), (2, 2, vec![0, 15, 3, 1]));
        // Four bits a pixel, three pixels a row: the last half byte is padding.
        let file = png(ColorType::Indexed, BitDepth::Four, 3, &[0x0F, 0x30, 0x12, 0x40]);
        assert_eq!(png_values(&file).unwrap(), (2, 3, vec![0, 15, 3, 1, 2, 4]));
    }

    #[test]
    fn a_grey_png_gives_levels_of_eight_bits() {
        let file = png(ColorType::Grayscale, BitDepth::One, 2, &[0b0100_0000, 0b1100_0000]);
        assert_eq!(png_values(&file).unwrap(), (2, 2, vec![0, 255, 255, 255]));
        let file = png(ColorType::Grayscale, BitDepth::Sixteen, 1, &[200, 9, 0, 255]);
        assert_eq!(png_values(&file).unwrap(), (2, 1, vec![200, 0]));
        let file = png(ColorType::GrayscaleAlpha, BitDepth::Eight, 1, &[200, 9, 0, 255]);
        assert_eq!(png_values(&file).unwrap(), (2, 1, vec![200, 0]));
    }

    #[test]
    fn colours_are_no_class_numbers() {
        let grey = png(ColorType::Rgb, BitDepth::Eight, 1, &[5, 5, 5, 9, 9, 9]);
        assert_eq!(png_values(&grey).unwrap(), (2, 1, vec![5, 9]));
        let red = png(ColorType::Rgb, BitDepth::Eight, 1, &[5, 0, 0, 9, 9, 9]);
        assert!(png_values(&red).unwrap_err().contains("coloured"));
    }

    #[test]
    fn a_box_holds_the_pixels_whose_centre_is_inside() {
        // Columns 0.6 to 2.4 of three: the centres 1.5 but neither 0.5 nor 2.5; row 0.5 of two.
        assert_eq!(box_values([0.6, 2.4], [0.0, 1.0], [2, 3]), [0, 1, 0, 0, 0, 0]);
        assert_eq!(box_values([-1.0, 9.0], [1.0, 9.0], [2, 2]), [0, 0, 1, 1]);
    }

    #[test]
    fn a_truncated_png_is_an_error() {
        let file = png(ColorType::Indexed, BitDepth::Eight, 2, &[0, 15, 3, 1]);
        assert!(png_values(&file[..file.len() - 20]).is_err());
    }
}
