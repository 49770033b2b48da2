//! One folder a class, as torchvision's `ImageFolder`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::LabelKind;
use walkdir::{DirEntry, WalkDir};

use super::{
    Dataset, Label, Source, above, class_value, folders, is_image, relative, split,
};
use crate::{Error, ImageSource, MaskFile, MaskSource, Result};

/// What to take, and how to part it.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The root of a tree of PNG masks with the images' relative paths. It may be the
    /// dataset's root: files that are another image's mask are no images then.
    pub masks: Option<PathBuf>,
    /// Grey levels (or palette indices) above it are foreground.
    pub threshold: u8,
    /// The share of every class to test on, where there is no folder `test`.
    pub test_fraction: Option<f64>,
    /// Decides which images these are.
    pub seed: u64,
}

/// Opens the dataset at `root`, which holds `train/CLASS/` and `test/CLASS/` (or
/// `val/CLASS/`), or `CLASS/` alone and is then parted by [`Choice::test_fraction`].
///
/// Images lie at any depth in their class's folder and are taken in the order of their
/// paths.
pub fn open(root: &Path, choice: &Choice) -> Result<Dataset> {
    if !root.is_dir() {
        return Err(Error::Missing { what: "dataset".to_owned(), path: root.to_owned() });
    }
    let (train_dir, test_dir) = (root.join("train"), root.join("test"));
    let (classes, train, test) = if train_dir.is_dir() {
        let (classes, train) = tree(root, &train_dir, choice)?;
        let test_dir = match root.join("val") {
            val if !test_dir.is_dir() && val.is_dir() => val,
            _ => test_dir,
        };
        if choice.test_fraction.is_some() {
            return Err(Error::Malformed {
                path: root.to_owned(),
                expected: "a folder for each class, to part by the test fraction"
                    .to_owned(),
                found: "a folder `train`, which is parted already".to_owned(),
            });
        }
        if !test_dir.is_dir() {
            return Err(Error::Missing {
                what: "folder of test images".to_owned(),
                path: test_dir,
            });
        }
        let (tested, test) = tree(root, &test_dir, choice)?;
        if tested != classes {
            return Err(Error::Malformed {
                path: test_dir,
                expected: format!(
                    "the classes of {}: {}",
                    train_dir.display(),
                    classes.join(", ")
                ),
                found: tested.join(", "),
            });
        }
        (classes, train, test)
    } else {
        let Some(fraction) = choice.test_fraction else {
            let what =
                "folder `train` beside `test` (or a test fraction to part the classes by)";
            return Err(Error::Missing { what: what.to_owned(), path: train_dir });
        };
        let (classes, all) = tree(root, root, choice)?;
        let (train, test) = split::stratified(all, fraction, choice.seed)?;
        (classes, train, test)
    };
    Ok(Dataset {
        name: "folder",
        classes,
        labels: LabelKind::Single,
        splits: BTreeMap::from([("train", train), ("test", test)]),
        bad: Vec::new(),
    })
}

fn tree(root: &Path, home: &Path, choice: &Choice) -> Result<(Vec<String>, Vec<Source>)> {
    let mask_of = |image: &Path| {
        let masks = choice.masks.as_ref()?;
        Some(masks.join(relative(image, root)).with_extension("png"))
    };
    let mut classes = Vec::new();
    let mut sources = Vec::new();
    for (index, (class, path)) in folders(home)?.into_iter().enumerate() {
        let images = images(&path)?;
        let masks: BTreeSet<PathBuf> = images
            .iter()
            .filter_map(|image| mask_of(image).filter(|mask| mask != image))
            .collect();
        let before = sources.len();
        for image in images.into_iter().filter(|image| !masks.contains(image)) {
            let mask = match mask_of(&image) {
                Some(file) => {
                    let meaning = above(choice.threshold, class_value(index, home)?);
                    Some(MaskSource {
                        file: MaskFile::Png(file),
                        meaning: Arc::new(meaning),
                    })
                }
                None => None,
            };
            sources.push(Source {
                name: relative(&image, root),
                image: ImageSource::File(image),
                label: Label::Single(index as i64),
                mask,
            });
        }
        if sources.len() == before {
            return Err(Error::EmptyClass {
                name: class,
                place: path.display().to_string(),
            });
        }
        classes.push(class);
    }
    if sources.is_empty() {
        return Err(Error::NoImages { place: home.display().to_string() });
    }
    Ok((classes, sources))
}

fn images(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    let hidden = |entry: &DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(dir).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|entry| !hidden(entry)) {
        let entry = entry.map_err(|error| Error::Io {
            path: error.path().unwrap_or(dir).to_owned(),
            source: error.into(),
        })?;
        if entry.file_type().is_file() && is_image(entry.path()) {
            images.push(entry.into_path());
        }
    }
    Ok(images)
}
