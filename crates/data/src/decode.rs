//! From a file to the pixels of a pack.

use std::{
    fs::{self, File},
    io::Cursor,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use image::{ImageFormat, ImageReader};

use crate::{BadFile, Geometry, jpeg, layout::Source, mask::Mask};

/// Where an image lies.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// A file of its own: JPEG, PNG, BMP, WebP, TIFF or GIF, told by its first bytes.
    File(PathBuf),
    /// One of many square images in a row, each `[3, column, row]` (STL-10).
    ColumnMajor {
        /// The file that holds all of them.
        path: PathBuf,
        /// Height and width of each.
        side: usize,
        /// Which of them.
        index: usize,
    },
}

/// An image in the size of the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// RGB, `[3, size, size]`.
    pub image: Vec<u8>,
    /// Its mask `[size, size]`, if the source has one.
    pub mask: Option<Vec<u8>>,
    /// BLAKE3 of the bytes of the image followed by those of the mask, as stored.
    pub digest: [u8; 32],
}

impl Source {
    /// Decodes the image and its mask, and brings both to the size of the pack.
    ///
    /// Grey, CMYK, 16-bit and transparent images become 8-bit RGB (transparency is dropped).
    /// The EXIF orientation is ignored, as torchvision's and PIL's loaders do.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is not whole (a JPEG that ends early is not), or if the
    /// mask is of another size than its image.
    pub fn decode(&self, geometry: Geometry) -> Result<Decoded, BadFile> {
        let image = self.image.read()?;
        let mut digest = blake3::Hasher::new();
        digest.update(&image.stored);
        let mask = match &self.mask {
            Some(mask) => {
                let size = [image.height, image.width];
                let Mask { height, width, values, stored } = mask.file.read(size)?;
                // A coarse matrix covers the whole image; a file is of the image's size.
                if [height, width] != size && !mask.file.is_coarse() {
                    let reason = format!(
                        "the mask is {width}×{height}, its image {}×{}",
                        image.width, image.height
                    );
                    return Err(BadFile { path: mask.file.path().to_owned(), reason });
                }
                digest.update(&stored);
                let meant: Vec<u8> =
                    values.iter().map(|&v| mask.meaning[usize::from(v)]).collect();
                Some(geometry.mask(&meant, height, width))
            }
            None => None,
        };
        Ok(Decoded {
            image: geometry.image(&image.rgb, image.height, image.width),
            mask,
            digest: *digest.finalize().as_bytes(),
        })
    }
}

/// An image at its own size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// h.
    pub height: usize,
    /// w.
    pub width: usize,
    /// RGB, interleaved, `[h, w, 3]`.
    pub rgb: Vec<u8>,
    /// The bytes it was read from.
    pub stored: Vec<u8>,
}

impl ImageSource {
    /// The file on disk.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::ColumnMajor { path, .. } => path,
        }
    }

    /// Decodes the image, as [`Source::decode`] does, and leaves it at its own size.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is no whole image.
    pub fn read(&self) -> Result<Pixels, BadFile> {
        let bad = |reason: String| BadFile { path: self.path().to_owned(), reason };
        match self {
            Self::File(path) => {
                let stored = fs::read(path).map_err(|e| bad(e.to_string()))?;
                let (height, width, rgb) = rgb(&stored).map_err(bad)?;
                Ok(Pixels { height, width, rgb, stored })
            }
            Self::ColumnMajor { path, side, index } => {
                let mut stored = vec![0; 3 * side * side];
                let at = (index * stored.len()) as u64;
                File::open(path)
                    .and_then(|file| file.read_exact_at(&mut stored, at))
                    .map_err(|e| bad(e.to_string()))?;
                Ok(Pixels {
                    height: *side,
                    width: *side,
                    rgb: rows(&stored, *side),
                    stored,
                })
            }
        }
    }
}

fn rgb(file: &[u8]) -> Result<(usize, usize, Vec<u8>), String> {
    let reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err("not an image of a known format".to_owned());
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::is_whole(file) {
        return Err("the JPEG is truncated".to_owned());
    }
    let image = reader.decode().map_err(|e| e.to_string())?.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width == 0 || height == 0 {
        return Err("the image has no pixels".to_owned());
    }
    Ok((height, width, image.into_raw()))
}

/// `[3, column, row]` to interleaved `[row, column, 3]`.
fn rows(planes: &[u8], side: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(planes.len());
    for y in 0..side {
        for x in 0..side {
            rgb.extend((0..3).map(|channel| planes[(channel * side + x) * side + y]));
        }
    }
    rgb
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma};

    use super::*;

    #[test]
    fn columns_become_rows() {
        // Red plane: column 0 is (1, 2), column 1 is (3, 4); green and blue follow.
        let planes = [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24];
        assert_eq!(rows(&planes, 2), [1, 11, 21, 3, 13, 23, 2, 12, 22, 4, 14, 24]);
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let image = GrayImage::from_fn(32, 24, |x, y| Luma([(x * 7 + y * 3) as u8]));
        let mut file = Cursor::new(Vec::new());
        DynamicImage::from(image).write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    #[test]
    fn grey_becomes_rgb() {
        let (height, width, rgb) = rgb(&encoded(ImageFormat::Png)).unwrap();
        assert_eq!((height, width), (24, 32));
        assert_eq!(rgb[3..6], [7, 7, 7]);
    }

    #[test]
    fn an_image_is_read_at_its_own_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grey.png");
        GrayImage::from_raw(3, 1, vec![1, 2, 3]).unwrap().save(&path).unwrap();
        let pixels = ImageSource::File(path.clone()).read().unwrap();
        assert_eq!((pixels.height, pixels.width), (1, 3));
        assert_eq!(pixels.rgb, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(pixels.stored, fs::read(path).unwrap());
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp] {
            let file = encoded(format);
            assert!(rgb(&file).is_ok(), "{format:?}");
            for keep in [0, 1, file.len() / 2, file.len() * 9 / 10] {
                assert!(rgb(&file[..keep]).is_err(), "{format:?} cut to {keep}");
            }
        }
    }
}
