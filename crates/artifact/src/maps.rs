use std::{collections::HashSet, path::Path};

use safetensors::Dtype;

use crate::{
    Error, Labels, MapsMeta, Provenance, Result,
    contents::{Contents, Elements},
    tensors::TensorFile,
};

/// Explanations, `maps.safetensors` and `perturbed-maps.safetensors`: one map an image, at
/// the explainer's native resolution.
///
/// | tensor      | shape             | type      | meaning                                |
/// |-------------|-------------------|-----------|----------------------------------------|
/// | `maps`      | `[N, h, w]`       | f32       | after ReLU and min-max, in \[0, 1\]    |
/// | `logits`    | `[N, K]`          | f32       | the network's outputs                  |
/// | `predicted` | `[N]`             | i64       | the class predicted                    |
/// | `target`    | `[N]`             | i64       | the class explained                    |
/// | `labels`    | `[N]` or `[N, K]` | i64 or u8 | as in the pack, copied                 |
/// | `sample`    | `[N]`             | u32       | row in the pack                        |
/// | `status`    | `[N]`             | u8        | 0 ok, 1 flat, 2 not finite             |
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    /// What they say of themselves.
    pub meta: MapsMeta,
    /// h, the height of the maps.
    pub height: usize,
    /// w, the width of the maps.
    pub width: usize,
    /// The maps, `[N, h, w]`.
    pub maps: Vec<f32>,
    /// K, the number of classes.
    pub classes: usize,
    /// The network's outputs, `[N, K]`.
    pub logits: Vec<f32>,
    /// The classes predicted; length N.
    pub predicted: Vec<i64>,
    /// The classes explained; length N.
    pub target: Vec<i64>,
    /// The labels, as in the pack.
    pub labels: Labels,
    /// The rows in the pack; length N.
    pub sample: Vec<u32>,
    /// 0 ok, 1 flat, 2 not finite; length N.
    pub status: Vec<u8>,
    /// What they were made from, unless they are foreign.
    pub provenance: Option<Provenance>,
}

impl Maps {
    /// N, the number of maps.
    pub fn len(&self) -> usize {
        self.sample.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sample.is_empty()
    }

    /// Map `i`, `[h, w]`.
    ///
    /// # Panics
    ///
    /// If there is no such map.
    pub fn map(&self, i: usize) -> &[f32] {
        let area = self.height * self.width;
        &self.maps[i * area..(i + 1) * area]
    }

    /// The logits of image `i`; length K.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn logits(&self, i: usize) -> &[f32] {
        &self.logits[i * self.classes..(i + 1) * self.classes]
    }

    /// Reads the maps at `path`.
    ///
    /// # Errors
    ///
    /// If shapes do not agree, a sample occurs twice, a class is not one of K, or a map whose
    /// status is ok has a value outside \[0, 1\].
    pub fn read(path: &Path) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let meta = file.require_json(KEY, FORM)?;
        let maps = file.require("maps", Dtype::F32, &[None, None, None])?;
        let &[n, height, width] = maps.shape else {
            unreachable!("three extents were required")
        };
        if height * width == 0 {
            return Err(Error::Empty { path: path.to_owned(), things: "maps" });
        }
        let logits = file.require("logits", Dtype::F32, &[Some(n), None])?;
        let classes = logits.shape[1];
        let read = Self {
            meta,
            height,
            width,
            maps: maps.f32(),
            classes,
            logits: logits.f32(),
            predicted: file.require("predicted", Dtype::I64, &[Some(n)])?.i64(),
            target: file.require("target", Dtype::I64, &[Some(n)])?.i64(),
            labels: file.labels(n, classes)?,
            sample: file.require("sample", Dtype::U32, &[Some(n)])?.u32(),
            status: file.require("status", Dtype::U8, &[Some(n)])?.bytes.to_vec(),
            provenance: file.provenance()?,
        };
        read.check(path)?;
        Ok(read)
    }

    /// Writes the maps to `path`, atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        let n = self.len();
        Contents::default()
            .tensor("maps", &[n, self.height, self.width], Elements::F32(&self.maps))
            .tensor("logits", &[n, self.classes], Elements::F32(&self.logits))
            .tensor("predicted", &[n], Elements::I64(&self.predicted))
            .tensor("target", &[n], Elements::I64(&self.target))
            .tensor("sample", &[n], Elements::U32(&self.sample))
            .tensor("status", &[n], Elements::U8(&self.status))
            .labels(&self.labels)
            .json(KEY, &self.meta)
            .provenance(self.provenance.as_ref())
            .write(path)
    }

    fn check(&self, path: &Path) -> Result<()> {
        check_unique(path, &self.sample)?;
        let is_class =
            |&class: &i64| usize::try_from(class).is_ok_and(|k| k < self.classes);
        for (i, sample) in self.sample.iter().enumerate() {
            let refuse = |expected: String, found: String| {
                let found = format!("{found} at sample {sample}");
                Err(Error::Value { path: path.to_owned(), expected, found })
            };
            if self.status[i] > 2 {
                return refuse("a status of 0, 1 or 2".into(), self.status[i].to_string());
            }
            if let Some(class) =
                [self.predicted[i], self.target[i]].iter().find(|c| !is_class(c))
            {
                return refuse(
                    format!("classes in 0..{}", self.classes),
                    class.to_string(),
                );
            }
            let outside = self.map(i).iter().find(|value| !(0.0..=1.0).contains(*value));
            if let (0, Some(value)) = (self.status[i], outside) {
                return refuse(
                    "maps in [0, 1] where status is 0".into(),
                    value.to_string(),
                );
            }
        }
        Ok(())
    }
}

const KEY: &str = "maps";

const FORM: &str = r#"JSON {"explainer": …, "tap": …, "image_size": [H, W]}"#;

/// Refuses a sample id that occurs twice: joins are by it.
pub(crate) fn check_unique(path: &Path, sample: &[u32]) -> Result<()> {
    let mut seen = HashSet::with_capacity(sample.len());
    match sample.iter().find(|sample| !seen.insert(**sample)) {
        None => Ok(()),
        Some(twice) => Err(Error::Value {
            path: path.to_owned(),
            expected: "every sample once".into(),
            found: format!("sample {twice} twice"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn maps() -> Maps {
        Maps {
            meta: MapsMeta {
                explainer: "grad-cam".into(),
                tap: "layer4".into(),
                smooth: None,
                image_size: [32, 32],
                target: "predicted".into(),
                epsilon: Some(0.1),
                epsilon_unit: Some("pixel".into()),
            },
            height: 1,
            width: 2,
            maps: vec![0.0, 1.0, f32::NAN, 0.5],
            classes: 2,
            logits: vec![2.0, -1.0, 0.0, 3.0],
            predicted: vec![0, 1],
            target: vec![0, 1],
            labels: Labels::Single(vec![0, 0]),
            sample: vec![4, 7],
            status: vec![0, 2],
            provenance: Some(Provenance::default()),
        }
    }

    fn refusal(maps: &Maps) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("maps");
        maps.write(&path).unwrap();
        Maps::read(&path).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("maps.safetensors");
        let maps = Maps { maps: vec![0.0, 1.0, 0.25, 0.5], ..maps() };
        maps.write(&path)?;
        assert_eq!(Maps::read(&path)?, maps);
        assert_eq!(maps.map(1), [0.25, 0.5]);
        assert_eq!(maps.logits(1), [0.0, 3.0]);
        Ok(())
    }

    #[test]
    fn equal_maps_are_equal_bytes() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        maps().write(&a)?;
        maps().write(&b)?;
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
        Ok(())
    }

    #[test]
    fn a_value_that_is_no_number_needs_a_status() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("maps");
        maps().write(&path)?;
        Maps::read(&path)?;
        let error = refusal(&Maps { status: vec![0, 0], ..maps() });
        assert!(error.contains("NaN at sample 7"), "{error}");
        Ok(())
    }

    #[test]
    fn a_sample_twice_and_a_class_too_high_are_named() {
        let error = refusal(&Maps { sample: vec![4, 4], ..maps() });
        assert!(error.contains("sample 4 twice"), "{error}");
        let error = refusal(&Maps { predicted: vec![0, 2], ..maps() });
        assert!(
            error.contains("classes in 0..2") && error.contains("2 at sample 7"),
            "{error}"
        );
    }
}
