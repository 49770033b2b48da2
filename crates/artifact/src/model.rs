use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::{
    Error, LabelKind, Provenance, Result,
    tensors::{TensorFile, View},
    values::Values,
};

/// What a model file says of itself: JSON under the metadata key `model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelMeta {
    /// The architecture's name, such as `resnet50`.
    pub arch: String,
    /// The classes' names in the order of the logits; length K.
    pub classes: Vec<String>,
    /// Height and width of the images it was trained on.
    pub image_size: [usize; 2],
    /// Mean of the pixels of each channel, subtracted first.
    pub mean: [f32; 3],
    /// Their standard deviation, then divided by.
    pub std: [f32; 3],
    /// Whether an image has one class or several; `None` if the file does not say.
    #[serde(default)]
    pub labels: Option<LabelKind>,
    /// Rounds trained so far.
    #[serde(default)]
    pub round: u32,
    /// Epochs trained so far, over all rounds.
    #[serde(default)]
    pub epoch: u32,
}

/// A network's parameters and buffers under torchvision's names, `model.safetensors`, so
/// that PyTorch's `load_state_dict` takes it as it is.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// What it says of itself; `None` in a plain torchvision file.
    pub meta: Option<ModelMeta>,
    /// f32 on the CPU, but for the i64 counters `num_batches_tracked`.
    pub tensors: BTreeMap<String, Tensor>,
    /// What it was made from, unless it is foreign.
    pub provenance: Option<Provenance>,
}

impl ModelFile {
    /// Reads the model at `path` onto the CPU; other floating-point types become f32.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let meta = file.json(KEY, FORM)?;
        let tensors = read_tensors(&file)?;
        if tensors.is_empty() {
            return Err(Error::Empty { path: path.to_owned(), things: "tensors" });
        }
        Ok(Self { meta, tensors, provenance: file.provenance()? })
    }

    /// Writes the model to `path`, atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_with(path, Values::default())
    }

    /// [`Self::write`], with tensors beside its own.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_with<'a>(&'a self, path: &Path, beside: Values<'a>) -> Result<()> {
        let mut values = Values::of(path, &self.tensors)?;
        values.extend(beside);
        let mut contents = values.contents().provenance(self.provenance.as_ref());
        if let Some(meta) = &self.meta {
            contents = contents.json(KEY, meta);
        }
        contents.write(path)
    }
}

const KEY: &str = "model";

const FORM: &str =
    r#"JSON {"arch": …, "classes": […], "image_size": [H, W], "mean": [3], "std": [3]}"#;

/// All tensors of a file, as f32 or i64.
pub(crate) fn read_tensors(file: &TensorFile) -> Result<BTreeMap<String, Tensor>> {
    let read = |name: &str| {
        let view = file.tensor(name)?;
        Some(tensor(view).ok_or_else(|| file.tensor_error(name, "F32 or I64".into())))
    };
    file.names()
        .filter_map(|name| Some(read(name)?.map(|t| (name.to_owned(), t))))
        .collect()
}

/// The tensor as f32 or i64, if it is one of the types that become so without loss of sense.
pub(crate) fn tensor(view: View<'_>) -> Option<Tensor> {
    let (from, to) = match view.dtype {
        Dtype::F32 => (DType::F32, DType::F32),
        Dtype::F16 => (DType::F16, DType::F32),
        Dtype::BF16 => (DType::BF16, DType::F32),
        Dtype::F64 => (DType::F64, DType::F32),
        Dtype::I64 => (DType::I64, DType::I64),
        _ => return None,
    };
    Tensor::from_raw_buffer(view.bytes, from, view.shape, &Device::Cpu)
        .ok()?
        .to_dtype(to)
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn model() -> ModelFile {
        let weight = Tensor::new(&[[0.5f32, -1.0]], &Device::Cpu).unwrap();
        let count = Tensor::new(3i64, &Device::Cpu).unwrap();
        ModelFile {
            meta: Some(ModelMeta {
                arch: "resnet20".into(),
                classes: vec!["cat".into()],
                image_size: [32, 32],
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
                labels: Some(LabelKind::Single),
                round: 2,
                epoch: 8,
            }),
            tensors: BTreeMap::from([
                ("fc.weight".into(), weight),
                ("bn1.num_batches_tracked".into(), count),
            ]),
            provenance: Some(Provenance::default()),
        }
    }

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        model().write(&path)?;
        let read = ModelFile::read(&path)?;
        assert_eq!((&read.meta, &read.provenance), (&model().meta, &model().provenance));
        assert_eq!(read.tensors["fc.weight"].to_vec2::<f32>().unwrap(), [[0.5, -1.0]]);
        let count = &read.tensors["bn1.num_batches_tracked"];
        assert_eq!((count.rank(), count.to_scalar::<i64>().unwrap()), (0, 3));
        Ok(())
    }

    #[test]
    fn equal_models_are_equal_bytes() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        model().write(&a)?;
        model().write(&b)?;
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
        Ok(())
    }

    #[test]
    fn a_plain_file_of_half_precision_is_widened() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let half =
            Tensor::new(&[0.5f32], &Device::Cpu).unwrap().to_dtype(DType::F16).unwrap();
        half.save_safetensors("x", &path).unwrap();
        let read = ModelFile::read(&path)?;
        assert_eq!((read.meta, read.provenance), (None, None));
        assert_eq!(read.tensors["x"].to_vec1::<f32>().unwrap(), [0.5]);
        Ok(())
    }

    #[test]
    fn what_others_write_under_model_needs_no_round() {
        let meta: ModelMeta = serde_json::from_str(
            r#"{"arch": "vgg16", "classes": [], "image_size": [96, 96],
                "mean": [0, 0, 0], "std": [1, 1, 1], "note": "extra"}"#,
        )
        .unwrap();
        assert_eq!((meta.labels, meta.round, meta.epoch), (None, 0, 0));
    }
}
