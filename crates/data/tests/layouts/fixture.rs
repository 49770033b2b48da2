use std::{fs, path::Path};

use data::{
    Decoded, Fit, Geometry,
    layout::{Dataset, Label},
};
use image::{Rgb, RgbImage};

/// Writes a file and the folders it lies in.
#[expect(clippy::disallowed_methods, reason = "a fixture need not be atomic")]
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes an image of one colour, in the format of its extension.
pub(crate) fn picture(path: &Path, width: u32, height: u32, color: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, height, Rgb(color)).save(path).unwrap();
}

/// Writes a PNG of `width` columns whose pixels are palette indices.
pub(crate) fn palette(path: &Path, width: u32, indices: &[u8]) {
    png(path, width, indices, png::ColorType::Indexed);
}

/// Writes a PNG of `width` columns of grey levels.
pub(crate) fn grey(path: &Path, width: u32, levels: &[u8]) {
    png(path, width, levels, png::ColorType::Grayscale);
}

fn png(path: &Path, width: u32, values: &[u8], color: png::ColorType) {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, values.len() as u32 / width);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    if color == png::ColorType::Indexed {
        // All entries look alike: only the indices can tell the classes.
        encoder.set_palette(vec![128; 3 * 256]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(values).unwrap();
    writer.finish().unwrap();
    write(path, file);
}

/// Decodes a split in whole, to squares of `size`.
pub(crate) fn decode(dataset: &Dataset, split: &str, size: usize) -> Vec<Decoded> {
    let geometry = Geometry { size, fit: Fit::Squash };
    dataset.splits[split].iter().map(|source| source.decode(geometry).unwrap()).collect()
}

pub(crate) fn labels(dataset: &Dataset, split: &str) -> Vec<Label> {
    dataset.splits[split].iter().map(|source| source.label.clone()).collect()
}

pub(crate) fn single(labels: &[i64]) -> Vec<Label> {
    labels.iter().copied().map(Label::Single).collect()
}

pub(crate) fn names(dataset: &Dataset, split: &str) -> Vec<String> {
    dataset.splits[split].iter().map(|source| source.name.clone()).collect()
}
