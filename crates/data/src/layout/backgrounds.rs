//! ImageNet-9, the backgrounds challenge (Xiao et al., ICLR 2021), and datasets composed
//! in its layout.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use artifact::LabelKind;

use super::{
    Dataset, Label, Source, above, class_value, entries, folders, is_image, relative,
};
use crate::{Error, ImageSource, MaskFile, MaskSource, Result};

/// Opens the dataset at `root`, which holds `VARIANT/val/CLASS/` for each variant, and
/// tests on `variant` (`original`, `mixed_rand` …).
///
/// `train` is `original/train/CLASS/`; the challenge itself is published without, and then
/// there is none. Masks are used for a split that has `fg_mask/SPLIT/CLASS/ID.npy`. A class
/// is called as its folder, without the number in front.
pub fn open(root: &Path, variant: &str) -> Result<Dataset> {
    let tested = root.join(variant).join("val");
    if !tested.is_dir() {
        let what = if root.is_dir() {
            let known: Vec<String> = folders(root)?
                .into_iter()
                .filter(|(name, path)| name != "fg_mask" && path.join("val").is_dir())
                .map(|(name, _)| name)
                .collect();
            format!("variant `{variant}` among [{}]", known.join(", "))
        } else {
            "dataset".to_owned()
        };
        return Err(Error::Missing { what, path: tested });
    }
    let (classes, test) = split(root, variant, "val")?;
    let mut splits = BTreeMap::from([("test", test)]);
    if root.join("original/train").is_dir() {
        let (trained, train) = split(root, "original", "train")?;
        if trained != classes {
            return Err(Error::Malformed {
                path: root.join("original/train"),
                expected: format!(
                    "the classes of {}: {}",
                    tested.display(),
                    classes.join(", ")
                ),
                found: trained.join(", "),
            });
        }
        splits.insert("train", train);
    }
    Ok(Dataset {
        name: "backgrounds",
        classes,
        labels: LabelKind::Single,
        splits,
        bad: Vec::new(),
    })
}

fn split(root: &Path, variant: &str, split: &str) -> Result<(Vec<String>, Vec<Source>)> {
    let home = root.join(variant).join(split);
    let masks = Some(root.join("fg_mask").join(split)).filter(|masks| masks.is_dir());
    let mut classes = Vec::new();
    let mut sources = Vec::new();
    for (index, (folder, path)) in folders(&home)?.into_iter().enumerate() {
        let class = unnumbered(&folder).to_owned();
        let before = sources.len();
        for (name, image) in entries(&path)?.into_iter().filter(|(_, path)| is_image(path))
        {
            let mask = match &masks {
                Some(masks) => {
                    let id = foreground(&name);
                    let file = MaskFile::Npy(masks.join(&folder).join(format!("{id}.npy")));
                    let meaning = Arc::new(above(0, class_value(index, &home)?));
                    Some(MaskSource { file, meaning })
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

/// `00_dog` is the class `dog`.
fn unnumbered(folder: &str) -> &str {
    match folder.split_once('_') {
        Some((number, class)) if number.bytes().all(|c| c.is_ascii_digit()) => class,
        _ => folder,
    }
}

/// The image whose foreground is seen: `fg_A_bg_B.JPEG` shows that of A, `A.JPEG` its own.
fn foreground(name: &str) -> &str {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    match stem.strip_prefix("fg_").and_then(|rest| rest.split_once("_bg_")) {
        Some((foreground, _)) => foreground,
        None => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_part_of_a_class() {
        assert_eq!(unnumbered("06_musical instrument"), "musical instrument");
        assert_eq!(unnumbered("wheeled_vehicle"), "wheeled_vehicle");
    }

    #[test]
    fn a_composed_image_has_the_mask_of_its_foreground() {
        assert_eq!(foreground("fg_2007_001774_bg_2008_003782.JPEG"), "2007_001774");
        assert_eq!(foreground("n02093991_77.JPEG"), "n02093991_77");
    }
}
