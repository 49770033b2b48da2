//! Caltech-UCSD Birds-200-2011 (Wah et al., CNS-TR-2011-001).

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::LabelKind;

use super::{Dataset, Label, Source, above, class_value, lines};
use crate::{Error, ImageSource, MaskFile, MaskSource, Result};

/// A segmentation's grey levels say how many annotators marked a pixel; it is foreground
/// where more than half of them did.
const HALF: u8 = 127;

/// The list of the birds' boxes.
const BOXES: &str = "bounding_boxes.txt";

/// Opens the dataset at `root`, which is `CUB_200_2011` or a folder that holds it.
///
/// Masks are the segmentations if `segmentations/` lies in or beside `CUB_200_2011` (it is
/// published as an archive of its own), else the boxes of `bounding_boxes.txt` if that is
/// there. Classes are named as in `classes.txt`.
pub fn open(root: &Path) -> Result<Dataset> {
    let home = match root.join("CUB_200_2011") {
        inside if inside.is_dir() => inside,
        _ => root.to_owned(),
    };
    let listed = |name: &str| numbered(&home, name);
    let names = listed("classes.txt")?;
    let class_of: HashMap<&str, usize> = names
        .iter()
        .enumerate()
        .map(|(index, (number, _))| (number.as_str(), index))
        .collect();
    let images = listed("images.txt")?;
    let labels: HashMap<_, _> = listed("image_class_labels.txt")?.into_iter().collect();
    let training: HashMap<_, _> = listed("train_test_split.txt")?.into_iter().collect();
    let masks = Masks::find(&home)?;

    let mut splits = BTreeMap::from([("train", Vec::new()), ("test", Vec::new())]);
    for (number, file) in images {
        let lacks = |list: &str, expected: &str, found: Option<&String>| Error::Malformed {
            path: home.join(list),
            expected: format!("{expected} for image {number}"),
            found: found.cloned().unwrap_or_else(|| "none".to_owned()),
        };
        let label = labels.get(&number);
        let class =
            label.and_then(|label| class_of.get(label.as_str())).ok_or_else(|| {
                lacks("image_class_labels.txt", "a number of classes.txt", label)
            })?;
        let split = match training.get(&number).map(String::as_str) {
            Some("1") => "train",
            Some("0") => "test",
            _ => {
                return Err(lacks("train_test_split.txt", "0 or 1", training.get(&number)));
            }
        };
        let mask = masks.of(&number, &file, *class)?;
        splits.entry(split).or_default().push(Source {
            image: ImageSource::File(home.join("images").join(&file)),
            name: format!("images/{file}"),
            label: Label::Single(*class as i64),
            mask,
        });
    }
    for (split, sources) in &splits {
        if sources.is_empty() {
            let place = format!(
                "the {split} half of {}",
                home.join("train_test_split.txt").display()
            );
            return Err(Error::NoImages { place });
        }
    }
    Ok(Dataset {
        name: "cub",
        classes: names.into_iter().map(|(_, name)| name).collect(),
        labels: LabelKind::Single,
        splits,
        bad: Vec::new(),
    })
}

/// Where the birds are.
enum Masks {
    Segmentations(PathBuf),
    Boxes { path: PathBuf, of: HashMap<String, String> },
    None,
}

impl Masks {
    fn find(home: &Path) -> Result<Self> {
        let segmentations = [home.join("segmentations"), home.join("../segmentations")];
        if let Some(place) = segmentations.into_iter().find(|place| place.is_dir()) {
            return Ok(Self::Segmentations(place));
        }
        let path = home.join(BOXES);
        if !path.is_file() {
            return Ok(Self::None);
        }
        Ok(Self::Boxes { of: numbered(home, BOXES)?.into_iter().collect(), path })
    }

    /// The mask of image `number`, which is `file`.
    fn of(&self, number: &str, file: &str, class: usize) -> Result<Option<MaskSource>> {
        let (file, place, threshold) = match self {
            Self::None => return Ok(None),
            Self::Segmentations(place) => {
                (MaskFile::Png(place.join(file).with_extension("png")), place, HALF)
            }
            Self::Boxes { path, of } => {
                (bounding_box(path, number, of.get(number))?, path, 0)
            }
        };
        let meaning = Arc::new(above(threshold, class_value(class, place)?));
        Ok(Some(MaskSource { file, meaning }))
    }
}

/// A box from its line: first column, first row, width, height, in pixels.
fn bounding_box(path: &Path, number: &str, line: Option<&String>) -> Result<MaskFile> {
    let found = line.map_or("", String::as_str);
    let edges: Vec<f32> = found.split_whitespace().map_while(|x| x.parse().ok()).collect();
    let [x, y, width, height] = edges[..] else {
        return Err(Error::Malformed {
            path: path.to_owned(),
            expected: format!("x, y, width and height for image {number}"),
            found: if found.is_empty() { "none".to_owned() } else { format!("`{found}`") },
        });
    };
    Ok(MaskFile::Box {
        path: path.to_owned(),
        columns: [x, x + width],
        rows: [y, y + height],
    })
}

/// The lines `NUMBER VALUE` of a list.
fn numbered(home: &Path, name: &str) -> Result<Vec<(String, String)>> {
    let path = home.join(name);
    lines(&path, &format!("{name} of CUB_200_2011"))?
        .into_iter()
        .map(|line| match line.split_once(char::is_whitespace) {
            Some((number, value)) => Ok((number.to_owned(), value.trim().to_owned())),
            None => Err(Error::Malformed {
                path: path.clone(),
                expected: "lines of a number and a value".to_owned(),
                found: format!("`{line}`"),
            }),
        })
        .collect()
}
