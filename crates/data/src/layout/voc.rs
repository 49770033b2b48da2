//! PASCAL VOC 2012, segmentation task (Everingham et al., IJCV 2010), optionally with the
//! additional masks of SBD (Hariharan et al., ICCV 2011) under `SegmentationClassAug`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::LabelKind;
use rayon::prelude::*;

use super::{Dataset, Label, Source, lines};
use crate::{BadFile, Error, ImageSource, MaskFile, MaskSource, Result, mask};

/// The classes; a mask stores the index here + 1.
pub const CLASSES: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

const VOID: u8 = 255;

/// What to take of the dataset.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Names out of [`CLASSES`], in the order of their new indices; none means all.
    pub classes: Vec<String>,
    /// One label, of the class with the largest mask area (of equals, the first chosen),
    /// or all classes in the mask.
    pub labels: LabelKind,
    /// Image set to train on: `train`, `trainaug` …
    pub train_set: String,
    /// Image set to test on: `val` …
    pub test_set: String,
}

/// Opens the dataset at `root`, which is `VOC2012`, or a folder that holds it, or one that
/// holds `VOCdevkit/VOC2012`.
///
/// Labels are made from the masks. Images with none of the chosen classes are left out and
/// their number is logged.
pub fn open(root: &Path, choice: &Choice) -> Result<Dataset> {
    let voc = home(root)?;
    let chosen = chosen(&choice.classes)?;
    let train = lines(&list(&voc, &choice.train_set), "image set")?;
    let test = lines(&list(&voc, &choice.test_set), "image set")?;
    let train: Vec<&str> = train.iter().map(|line| id(line)).collect();
    let test: Vec<&str> = test.iter().map(|line| id(line)).collect();
    disjoint(&train, &test, choice)?;

    let mut dataset = Dataset {
        name: "voc",
        classes: chosen.iter().map(|&class| CLASSES[class].to_owned()).collect(),
        labels: choice.labels,
        splits: BTreeMap::new(),
        bad: Vec::new(),
    };
    for (split, set, ids) in
        [("train", &choice.train_set, &train), ("test", &choice.test_set, &test)]
    {
        let masks = masks(&voc, ids)?;
        let found: Vec<_> = ids
            .par_iter()
            .map(|id| source(&voc, &masks, id, &chosen, choice.labels))
            .collect();
        let mut sources = Vec::new();
        let mut left_out = 0;
        for found in found {
            match found {
                Ok(Some(source)) => sources.push(source),
                Ok(None) => left_out += 1,
                Err(bad) => dataset.bad.push(bad),
            }
        }
        if left_out > 0 {
            tracing::info!(
                "{set}: left out {left_out} images with none of the chosen classes"
            );
        }
        if sources.is_empty() && dataset.bad.is_empty() {
            return Err(Error::NoImages {
                place: format!("{set} with the chosen classes"),
            });
        }
        dataset.splits.insert(split, sources);
    }
    if !choice.classes.is_empty() && dataset.bad.is_empty() {
        every_class_is_there(&dataset, choice)?;
    }
    Ok(dataset)
}

fn home(root: &Path) -> Result<PathBuf> {
    let places = [root.to_owned(), root.join("VOC2012"), root.join("VOCdevkit/VOC2012")];
    places.into_iter().find(|place| place.join("JPEGImages").is_dir()).ok_or_else(|| {
        Error::Missing {
            what: "VOC2012 folder with JPEGImages".to_owned(),
            path: root.join("VOCdevkit/VOC2012/JPEGImages"),
        }
    })
}

/// Indices into [`CLASSES`].
fn chosen(names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..CLASSES.len()).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let Some(class) = CLASSES.iter().position(|class| class == name) else {
            return Err(Error::UnknownClass {
                name: name.clone(),
                known: CLASSES.join(", "),
            });
        };
        if chosen.contains(&class) {
            return Err(Error::RepeatedClass { name: name.clone() });
        }
        chosen.push(class);
    }
    Ok(chosen)
}

fn list(voc: &Path, set: &str) -> PathBuf {
    voc.join("ImageSets/Segmentation").join(format!("{set}.txt"))
}

/// The first word: some lists carry a label behind it.
fn id(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or(line)
}

fn disjoint(train: &[&str], test: &[&str], choice: &Choice) -> Result<()> {
    let train: BTreeSet<_> = train.iter().collect();
    let shared: Vec<_> = test.iter().filter(|id| train.contains(id)).collect();
    match shared.first() {
        None => Ok(()),
        Some(first) => Err(Error::Overlap {
            train: choice.train_set.clone(),
            test: choice.test_set.clone(),
            count: shared.len(),
            first: (**first).to_owned(),
        }),
    }
}

/// The folder of masks for a set: the official one if it has them all, for only it has the
/// void border, else the augmented one. A set is never mixed from both.
fn masks(voc: &Path, ids: &[&str]) -> Result<PathBuf> {
    let official = voc.join("SegmentationClass");
    let augmented = voc.join("SegmentationClassAug");
    let complete = || ids.iter().all(|id| official.join(format!("{id}.png")).is_file());
    if !augmented.is_dir() || (official.is_dir() && complete()) {
        if !official.is_dir() {
            return Err(Error::Missing {
                what: "folder of masks".to_owned(),
                path: official,
            });
        }
        return Ok(official);
    }
    Ok(augmented)
}

fn source(
    voc: &Path,
    masks: &Path,
    id: &str,
    chosen: &[usize],
    labels: LabelKind,
) -> std::result::Result<Option<Source>, BadFile> {
    let path = masks.join(format!("{id}.png"));
    let mut area = [0usize; 256];
    for value in mask::png(&path)?.values {
        area[usize::from(value)] += 1;
    }
    let foreign = (CLASSES.len() + 1..usize::from(VOID)).find(|&value| area[value] > 0);
    if let Some(value) = foreign {
        let reason = format!("the mask value {value} is no class of VOC");
        return Err(BadFile { path, reason });
    }

    let areas: Vec<usize> = chosen.iter().map(|class| area[class + 1]).collect();
    let most = areas.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return Ok(None);
    }
    let label = match labels {
        LabelKind::Single => {
            let largest = areas.iter().position(|&area| area == most);
            Label::Single(largest.expect("the maximum is one of them") as i64)
        }
        LabelKind::Multi => {
            Label::Multi(areas.iter().map(|&area| u8::from(area > 0)).collect())
        }
    };
    let name = format!("JPEGImages/{id}.jpg");
    Ok(Some(Source {
        image: ImageSource::File(voc.join(&name)),
        name,
        label,
        mask: Some(MaskSource {
            file: MaskFile::Png(path),
            meaning: Arc::new(meaning(chosen)),
        }),
    }))
}

/// Chosen classes are renumbered, the others become background, void stays.
fn meaning(chosen: &[usize]) -> [u8; 256] {
    let mut meaning = [0; 256];
    for (index, class) in chosen.iter().enumerate() {
        meaning[class + 1] = index as u8 + 1;
    }
    meaning[usize::from(VOID)] = VOID;
    meaning
}

fn every_class_is_there(dataset: &Dataset, choice: &Choice) -> Result<()> {
    let (train, test) = (dataset.counts("train"), dataset.counts("test"));
    match (0..dataset.classes.len()).find(|&class| train[class] + test[class] == 0) {
        None => Ok(()),
        Some(class) => Err(Error::EmptyClass {
            name: dataset.classes[class].clone(),
            place: format!("{} and {}", choice.train_set, choice.test_set),
        }),
    }
}
