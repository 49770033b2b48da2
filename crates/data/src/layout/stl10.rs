//! STL-10 in its binary form (Coates, Ng and Lee, AISTATS 2011).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::LabelKind;

use super::{Dataset, Label, Source, above, bytes, class_value, lines, text};
use crate::{Error, ImageSource, MaskFile, MaskSource, Result};

/// Height and width of every image.
pub const SIDE: usize = 96;

const ARCHIVE: &str = "of stl10_binary.tar.gz (https://cs.stanford.edu/~acoates/stl10/)";

/// What to take of the dataset.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Train on one of the predefined folds, from 0, instead of on all 5 000 images.
    pub fold: Option<usize>,
    /// A file of a square byte matrix `[row, column]` for each training image, in their
    /// order: not 0 is foreground. It may be coarser than the images.
    pub masks: Option<PathBuf>,
}

/// Opens the dataset at `root`, which is `stl10_binary` or a folder that holds it.
///
/// Unlabelled images are not used.
pub fn open(root: &Path, choice: &Choice) -> Result<Dataset> {
    let home = match root.join("stl10_binary") {
        inside if inside.is_dir() => inside,
        _ => root.to_owned(),
    };
    let classes =
        lines(&home.join("class_names.txt"), &format!("class_names.txt {ARCHIVE}"))?;
    let mut train = split(&home, "train", classes.len())?;
    if let Some(masks) = &choice.masks {
        attach(&mut train, masks)?;
    }
    if let Some(fold) = choice.fold {
        train = of_fold(&train, &home.join("fold_indices.txt"), fold)?;
    }
    let test = split(&home, "test", classes.len())?;
    Ok(Dataset {
        name: "stl10",
        classes,
        labels: LabelKind::Single,
        splits: BTreeMap::from([("train", train), ("test", test)]),
        bad: Vec::new(),
    })
}

/// Reads `SPLIT_y.bin`, a byte from 1 for each image, and checks the length of
/// `SPLIT_X.bin`, whose images stay on disk.
fn split(home: &Path, split: &str, classes: usize) -> Result<Vec<Source>> {
    let labels_name = format!("{split}_y.bin");
    let labels_path = home.join(&labels_name);
    let labels = bytes(&labels_path, &format!("{labels_name} {ARCHIVE}"))?;
    let name = format!("{split}_X.bin");
    let path = home.join(&name);
    if !path.is_file() {
        return Err(Error::Missing { what: format!("{name} {ARCHIVE}"), path });
    }
    let length = length(&path)?;
    let expected = labels.len() as u64 * (3 * SIDE * SIDE) as u64;
    if length != expected {
        return Err(Error::Malformed {
            path,
            expected: format!(
                "{expected} bytes, {} images as in {labels_name}",
                labels.len()
            ),
            found: format!("{length}"),
        });
    }
    if labels.is_empty() {
        return Err(Error::NoImages { place: labels_path.display().to_string() });
    }
    if let Some(&label) = labels.iter().find(|&&y| !(1..=classes).contains(&usize::from(y)))
    {
        return Err(Error::Malformed {
            path: labels_path,
            expected: format!("labels from 1 to {classes}"),
            found: label.to_string(),
        });
    }
    let source = |(index, label): (usize, u8)| Source {
        name: format!("{name}#{index}"),
        image: ImageSource::ColumnMajor { path: path.clone(), side: SIDE, index },
        label: Label::Single(i64::from(label) - 1),
        mask: None,
    };
    Ok(labels.into_iter().enumerate().map(source).collect())
}

fn attach(sources: &mut [Source], path: &Path) -> Result<()> {
    if !path.is_file() {
        return Err(Error::Missing {
            what: "file of masks".to_owned(),
            path: path.to_owned(),
        });
    }
    let length = length(path)? as usize;
    let side = (length / sources.len()).isqrt();
    if side == 0 || side * side * sources.len() != length {
        return Err(Error::Malformed {
            path: path.to_owned(),
            expected: format!("a square matrix for each of {} images", sources.len()),
            found: format!("{length} bytes"),
        });
    }
    for (index, source) in sources.iter_mut().enumerate() {
        let Label::Single(class) = source.label else { unreachable!("labels are single") };
        let value = class_value(class as usize, path)?;
        let file = MaskFile::Matrix { path: path.to_owned(), side, index };
        source.mask = Some(MaskSource { file, meaning: Arc::new(above(0, value)) });
    }
    Ok(())
}

/// The images listed in line `fold`, in the order of the list.
fn of_fold(sources: &[Source], path: &Path, fold: usize) -> Result<Vec<Source>> {
    let malformed = |expected: String, found: String| Error::Malformed {
        path: path.to_owned(),
        expected,
        found,
    };
    let text = text(path, &format!("fold_indices.txt {ARCHIVE}"))?;
    let folds: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let Some(line) = folds.get(fold) else {
        return Err(malformed(
            format!("a line for fold {fold}"),
            format!("{} lines", folds.len()),
        ));
    };
    line.split_whitespace()
        .map(|word| {
            let source = word.parse().ok().and_then(|index: usize| sources.get(index));
            let expected = || format!("indices below {}", sources.len());
            source.cloned().ok_or_else(|| malformed(expected(), word.to_owned()))
        })
        .collect()
}

fn length(path: &Path) -> Result<u64> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(|source| Error::Io { path: path.to_owned(), source })
}
