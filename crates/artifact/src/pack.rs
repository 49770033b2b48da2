use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::{Error, LabelKind, Labels, Provenance, Result, tensors::TensorFile};

/// What a pack says of itself: JSON under the metadata key `pack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackMeta {
    /// The data set's name.
    #[serde(default)]
    pub dataset: String,
    /// Its part, such as `train`.
    #[serde(default)]
    pub split: String,
    /// The classes' names in the order of their indices; length K.
    pub classes: Vec<String>,
    /// Whether an image has one class or several.
    pub labels: LabelKind,
    /// Height and width of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<[usize; 2]>,
}

/// A decoded data set, `train.safetensors` …, mapped into memory.
///
/// | tensor   | shape               | type       | meaning                                 |
/// |----------|---------------------|------------|-----------------------------------------|
/// | `images` | `[N, 3, H, W]`      | u8         | RGB                                     |
/// | `labels` | `[N]` or `[N, K]`   | i64 or u8  | class index, or 1 for each class it has |
/// | `masks`  | `[N, H, W]`         | u8         | 0, class index + 1, 255 void; optional  |
/// | `groups` | `[N]`               | u8         | 1 in the biased majority; optional      |
///
/// The row of an image is its sample id.
#[derive(Debug)]
pub struct Pack {
    /// What it says of itself.
    pub meta: PackMeta,
    /// The labels; N of them.
    pub labels: Labels,
    /// What it was made from, unless it is foreign.
    pub provenance: Option<Provenance>,
    /// The file.
    pub path: PathBuf,
    file: TensorFile,
    height: usize,
    width: usize,
    images: Range<usize>,
    masks: Option<Range<usize>>,
    groups: Option<Range<usize>>,
    digest: OnceLock<String>,
}

impl Pack {
    /// Opens the pack at `path`; images are read from disk only when asked for.
    ///
    /// # Errors
    ///
    /// If it is not a pack, holds no images, or a label is not one of its classes.
    pub fn open(path: &Path) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let meta: PackMeta = file.require_json(KEY, FORM)?;
        let images = file.require("images", Dtype::U8, &[None, Some(3), None, None])?;
        let (n, height, width) = (images.shape[0], images.shape[2], images.shape[3]);
        if n * height * width == 0 {
            return Err(Error::Empty { path: path.to_owned(), things: "images" });
        }
        let images = file.range("images").unwrap_or_default();
        let labels = file.labels(n, meta.classes.len())?;
        check_meta(path, &meta, &labels, [height, width])?;
        for (name, shape) in [("masks", &[n, height, width][..]), ("groups", &[n])] {
            if file.tensor(name).is_some() {
                let shape: Vec<_> = shape.iter().copied().map(Some).collect();
                file.require(name, Dtype::U8, &shape)?;
            }
        }
        Ok(Self {
            labels,
            provenance: file.provenance()?,
            path: path.to_owned(),
            height,
            width,
            images,
            masks: file.range("masks"),
            groups: file.range("groups"),
            digest: OnceLock::new(),
            meta,
            file,
        })
    }

    /// N, the number of images; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a pack is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// H, the height of the images.
    pub fn height(&self) -> usize {
        self.height
    }

    /// W, the width of the images.
    pub fn width(&self) -> usize {
        self.width
    }

    /// K, the number of classes.
    pub fn classes(&self) -> usize {
        self.meta.classes.len()
    }

    /// Image `i`, `[3, H, W]`.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn image(&self, i: usize) -> &[u8] {
        self.rows(&self.images, i, 3 * self.height * self.width)
    }

    /// The mask of image `i`, `[H, W]`: 0 background, class index + 1, 255 void.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn mask(&self, i: usize) -> Option<&[u8]> {
        self.masks.as_ref().map(|masks| self.rows(masks, i, self.height * self.width))
    }

    /// Whether the images have masks.
    pub fn has_masks(&self) -> bool {
        self.masks.is_some()
    }

    /// The group of image `i`: 1 if it belongs to the biased majority.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn group(&self, i: usize) -> Option<u8> {
        self.groups.as_ref().map(|groups| self.rows(groups, i, 1)[0])
    }

    /// Whether the images have groups.
    pub fn has_groups(&self) -> bool {
        self.groups.is_some()
    }

    /// The BLAKE3 of the file that was opened, whatever lies under its name by now;
    /// computed when first asked for.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            hasher.update_rayon(self.file.bytes()).finalize().to_hex().to_string()
        })
    }

    fn rows(&self, tensor: &Range<usize>, i: usize, length: usize) -> &[u8] {
        &self.file.bytes()[tensor.clone()][i * length..(i + 1) * length]
    }
}

/// The metadata key of [`PackMeta`].
pub(crate) const KEY: &str = "pack";

const FORM: &str =
    r#"JSON {"dataset": …, "split": …, "classes": […], "labels": "single"|"multi"}"#;

fn check_meta(
    path: &Path,
    meta: &PackMeta,
    labels: &Labels,
    size: [usize; 2],
) -> Result<()> {
    let error = |expected, found| {
        Err(Error::Metadata { path: path.to_owned(), key: KEY, expected, found })
    };
    if meta.labels != labels.kind() {
        let (tensor, said) = (labels.kind(), meta.labels);
        return error(
            format!("labels {tensor:?} as in the tensor `labels`").to_lowercase(),
            format!("{said:?}").to_lowercase(),
        );
    }
    match meta.image_size {
        Some(said) if said != size => error(
            format!("image_size {size:?} as in the tensor `images`"),
            format!("{said:?}"),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        Label,
        contents::{Contents, Elements},
    };

    const META: &str =
        r#"{"dataset": "x", "split": "train", "classes": ["a", "b"], "labels": "single"}"#;

    fn meta(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    /// A pack as somebody else would write it: nothing but what is required.
    fn foreign<'a>(images: &'a [u8], labels: &'a [i64]) -> Contents<'a> {
        Contents::default()
            .tensor("images", &[labels.len(), 3, 1, 2], Elements::U8(images))
            .tensor("labels", &[labels.len()], Elements::I64(labels))
            .json(KEY, &meta(META))
    }

    fn refusal(contents: &Contents<'_>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        contents.write(&path).unwrap();
        Pack::open(&path).unwrap_err().to_string()
    }

    #[test]
    fn a_foreign_pack_is_accepted() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        foreign(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &[1, 0]).write(&path)?;
        let pack = Pack::open(&path)?;
        assert_eq!((pack.len(), pack.height(), pack.width(), pack.classes()), (2, 1, 2, 2));
        assert_eq!(pack.image(1), [6, 7, 8, 9, 10, 11]);
        assert_eq!(pack.labels.row(0), Label::Single(1));
        assert_eq!((pack.mask(0), pack.group(0)), (None, None));
        assert_eq!(pack.provenance, None);
        assert_eq!(
            pack.digest(),
            blake3::hash(&fs::read(&path).unwrap()).to_hex().as_str()
        );
        Ok(())
    }

    #[test]
    fn a_pack_without_images_is_refused() {
        assert!(refusal(&foreign(&[], &[])).contains("holds no images"));
    }

    #[test]
    fn a_label_of_no_class_is_named() {
        let error = refusal(&foreign(&[0; 18], &[0, 1, 2]));
        assert!(
            error.contains("labels in 0..2") && error.contains("2 at sample 2"),
            "{error}"
        );
        let error = refusal(&foreign(&[0; 6], &[-1]));
        assert!(error.contains("-1 at sample 0"), "{error}");
    }

    #[test]
    fn masks_of_another_size_are_refused() {
        let error = refusal(&foreign(&[0; 6], &[0]).tensor(
            "masks",
            &[1, 2, 1],
            Elements::U8(&[0; 2]),
        ));
        assert!(error.contains("`masks` of U8 [1, 1, 2], found U8 [1, 2, 1]"), "{error}");
    }

    #[test]
    fn metadata_that_contradict_the_tensors_are_refused() {
        let multi = meta(r#"{"classes": ["a", "b"], "labels": "multi"}"#);
        let error = refusal(&foreign(&[0; 6], &[0]).json(KEY, &multi));
        assert!(
            error.contains("labels single") && error.contains("found multi"),
            "{error}"
        );
        let size = meta(r#"{"classes": ["a"], "labels": "single", "image_size": [2, 2]}"#);
        let error = refusal(&foreign(&[0; 6], &[0]).json(KEY, &size));
        assert!(error.contains("[1, 2]") && error.contains("[2, 2]"), "{error}");
    }
}
