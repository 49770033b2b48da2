//! Datasets as their owners publish them, brought into one form.

use std::{
    collections::{BTreeMap, btree_map},
    fs,
    path::{Path, PathBuf},
};

use artifact::LabelKind;

use crate::{BadFile, Error, ImageSource, MaskSource, Result};

pub mod backgrounds;
pub mod cub;
pub mod folder;
mod split;
pub mod stl10;
pub mod voc;

/// A dataset: which images there are, what they show, and where they lie.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// `voc`, `stl10`, `cub`, `backgrounds` or `folder`.
    pub name: &'static str,
    /// The classes' names, by index.
    pub classes: Vec<String>,
    /// Does an image have one label or several?
    pub labels: LabelKind,
    /// The images of `train` (absent where the owners publish none), `test` and, once
    /// [`Dataset::hold_out`] was called, `validation`.
    pub splits: BTreeMap<&'static str, Vec<Source>>,
    /// Files that could not be used already for the labels.
    pub bad: Vec<BadFile>,
}

/// One image with its label.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it comes from, relative to the dataset's root.
    pub name: String,
    /// The image.
    pub image: ImageSource,
    /// What it shows.
    pub label: Label,
    /// Where it shows that.
    pub mask: Option<MaskSource>,
}

/// What an image shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The index of its class.
    Single(i64),
    /// For each class, 1 if it is there and 0 if not.
    Multi(Vec<u8>),
}

impl Label {
    /// The indices of the classes that are there.
    pub fn classes(&self) -> Vec<usize> {
        match self {
            Self::Single(class) => vec![*class as usize],
            Self::Multi(hot) => (0..hot.len()).filter(|&k| hot[k] == 1).collect(),
        }
    }
}

impl Dataset {
    /// Moves a random share of `train` to `validation`, the same share of every class
    /// (of every set of classes, if an image has several).
    pub fn hold_out(&mut self, fraction: f64, seed: u64) -> Result<()> {
        let no_train =
            Error::NoImages { place: format!("the training set of {}", self.name) };
        let btree_map::Entry::Occupied(mut train) = self.splits.entry("train") else {
            return Err(no_train);
        };
        let (rest, held_out) = split::stratified(train.get().clone(), fraction, seed)?;
        train.insert(rest);
        self.splits.insert("validation", held_out);
        Ok(())
    }

    /// How many images of `split` show each class.
    pub fn counts(&self, split: &str) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for source in self.splits.get(split).into_iter().flatten() {
            for class in source.label.classes() {
                counts[class] += 1;
            }
        }
        counts
    }
}

/// What a mask of `k` classes stores for class `class`: its index + 1.
///
/// A byte has room for 254 classes besides background and void.
fn class_value(class: usize, place: &Path) -> Result<u8> {
    u8::try_from(class + 1).ok().filter(|&value| value < 255).ok_or_else(|| {
        Error::Malformed {
            path: place.to_owned(),
            expected: "at most 254 classes, for a mask is of bytes".to_owned(),
            found: format!("class {}", class + 1),
        }
    })
}

/// `value` for every stored value above `threshold`, else background.
fn above(threshold: u8, value: u8) -> [u8; 256] {
    std::array::from_fn(|stored| if stored > usize::from(threshold) { value } else { 0 })
}

/// The lines of a list that are not empty.
fn lines(path: &Path, what: &str) -> Result<Vec<String>> {
    let text = text(path, what)?;
    let lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if lines.is_empty() {
        return Err(Error::NoImages {
            place: format!("{}: the list is empty", path.display()),
        });
    }
    Ok(lines)
}

fn text(path: &Path, what: &str) -> Result<String> {
    let bytes = bytes(path, what)?;
    String::from_utf8(bytes).map_err(|_| Error::Malformed {
        path: path.to_owned(),
        expected: "text".to_owned(),
        found: "bytes that are not UTF-8".to_owned(),
    })
}

fn bytes(path: &Path, what: &str) -> Result<Vec<u8>> {
    if !path.is_file() {
        return Err(Error::Missing { what: what.to_owned(), path: path.to_owned() });
    }
    fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// The entries of a folder in the order of their names, hidden ones left out.
fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let io = |source| Error::Io { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if !name.starts_with('.') {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// The folders in `dir`, in the order of their names.
fn folders(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(entries(dir)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

/// Is this the name of an image that can be decoded?
fn is_image(path: &Path) -> bool {
    const KNOWN: [&str; 9] =
        ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "gif", "jfif"];
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| KNOWN.contains(&extension.to_ascii_lowercase().as_str()))
}

/// `path` as it is called from `root`.
fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
