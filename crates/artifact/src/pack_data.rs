use std::path::Path;

use crate::{
    Error, Labels, PackMeta, Provenance, Result,
    contents::{Contents, Elements},
    pack,
};

/// A pack in memory, to be written; see [`Pack`](crate::Pack) for what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackData {
    /// What it says of itself; its `image_size` and kind of labels are filled in.
    pub meta: PackMeta,
    /// H, the height of the images.
    pub height: usize,
    /// W, the width of the images.
    pub width: usize,
    /// The images, `[N, 3, H, W]`.
    pub images: Vec<u8>,
    /// Their labels; N of them.
    pub labels: Labels,
    /// Their masks, `[N, H, W]`.
    pub masks: Option<Vec<u8>>,
    /// Their groups; length N.
    pub groups: Option<Vec<u8>>,
}

impl PackData {
    /// Writes the pack to `path`, atomically.
    ///
    /// # Errors
    ///
    /// Also if the lengths do not agree, or a label is not one of the classes.
    pub fn write(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let (n, classes) = (self.labels.len(), self.meta.classes.len());
        if n == 0 {
            return Err(Error::Empty { path: path.to_owned(), things: "images" });
        }
        if let Some(found) = self.labels.first_bad(classes) {
            let expected = format!("labels of {classes} classes");
            return Err(Error::Value { path: path.to_owned(), expected, found });
        }
        let meta = PackMeta {
            image_size: Some([self.height, self.width]),
            labels: self.labels.kind(),
            ..self.meta.clone()
        };
        let mut contents = Contents::default()
            .tensor("images", &[n, 3, self.height, self.width], Elements::U8(&self.images))
            .labels(&self.labels)
            .json(pack::KEY, &meta)
            .provenance(Some(provenance));
        if let Some(masks) = &self.masks {
            contents = contents.tensor(
                "masks",
                &[n, self.height, self.width],
                Elements::U8(masks),
            );
        }
        if let Some(groups) = &self.groups {
            contents = contents.tensor("groups", &[n], Elements::U8(groups));
        }
        contents.write(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Label, LabelKind, Pack};

    fn data() -> PackData {
        PackData {
            meta: PackMeta {
                dataset: "shapes".into(),
                split: "train".into(),
                classes: vec!["disc".into(), "square".into(), "cross".into()],
                labels: LabelKind::Multi,
                image_size: None,
            },
            height: 1,
            width: 1,
            images: vec![1, 2, 3, 4, 5, 6],
            labels: Labels::Multi { classes: 3, hot: vec![1, 0, 1, 0, 1, 0] },
            masks: Some(vec![3, 255]),
            groups: Some(vec![0, 1]),
        }
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.safetensors");
        let provenance =
            Provenance { stage: "prepare".into(), seed: 3, ..Provenance::default() };
        data().write(&path, &provenance)?;
        let pack = Pack::open(&path)?;
        assert_eq!(pack.provenance, Some(provenance));
        assert_eq!(pack.meta.image_size, Some([1, 1]));
        assert_eq!(pack.image(1), [4, 5, 6]);
        assert_eq!(pack.labels.row(0), Label::Multi(&[1, 0, 1]));
        assert_eq!(pack.mask(1), Some(&[255][..]));
        assert_eq!(pack.group(1), Some(1));
        Ok(())
    }

    #[test]
    fn equal_packs_are_equal_bytes() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for path in [&a, &b] {
            data().write(path, &Provenance::default())?;
        }
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
        Ok(())
    }

    #[test]
    fn lengths_that_do_not_agree_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        let short = PackData { images: vec![0; 5], ..data() };
        let error = short.write(&path, &Provenance::default()).unwrap_err().to_string();
        assert!(error.contains("`images`") && error.contains("5 elements"), "{error}");
        assert!(!path.exists());
    }
}
