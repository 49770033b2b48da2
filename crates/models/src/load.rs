use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};

use crate::{Arch, Keys, timm};

/// What becomes of the classifier, the last linear layer, when a checkpoint is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It is in the checkpoint, with the right number of classes.
    Keep,
    /// It is initialised as [`crate::Network::new`] does with this seed; the checkpoint's,
    /// if there is one, is left aside whatever its shape.
    Fresh {
        /// Seed of the initialisation.
        seed: u64,
    },
}

/// A checkpoint whose tensors are taken one by one, with an account of those that do not fit.
pub(crate) struct Checkpoint {
    /// Our name to the checkpoint's name and tensor.
    tensors: BTreeMap<String, (String, Tensor)>,
    /// Prefix of the parameters that are not taken from here.
    fresh: Option<String>,
    keys: Keys,
}

impl Checkpoint {
    /// torchvision's tensors, or timm's under their other names.
    pub(crate) fn new(
        arch: Arch,
        tensors: &BTreeMap<String, Tensor>,
        head: Head,
    ) -> Result<Self> {
        let fresh = match head {
            Head::Keep => None,
            Head::Fresh { .. } => Some(format!("{}.", arch.classifier())),
        };
        let foreign = timm::wrote(arch, tensors);
        let mut checkpoint =
            Self { tensors: BTreeMap::new(), fresh, keys: Keys::default() };
        for (theirs, tensor) in tensors {
            let renamed = if foreign { timm::rename(arch, theirs) } else { None };
            let (ours, tensor) = match renamed {
                // timm writes VGG's linear layers as convolutions
                Some(ours) if tensor.rank() == 4 && ours.starts_with("classifier.") => {
                    (ours, tensor.flatten_from(1)?)
                }
                Some(ours) => (ours, tensor.clone()),
                None => (theirs.clone(), tensor.clone()),
            };
            if checkpoint.covers(&ours)
                && let Some((twin, _)) =
                    checkpoint.tensors.insert(ours, (theirs.clone(), tensor))
            {
                checkpoint.keys.unused.push(twin);
            }
        }
        Ok(checkpoint)
    }

    /// Is this parameter to be taken from here?
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.fresh.as_ref().is_none_or(|head| !name.starts_with(head))
    }

    /// The tensor `name` in f32; zeros, and a note, if there is none of this shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.tensors.remove(name) {
            Some((_, tensor)) if tensor.dims() == shape && tensor.dtype().is_float() => {
                return tensor.to_dtype(DType::F32)?.contiguous();
            }
            Some((theirs, tensor)) => self.keys.wrong.push(format!(
                "{theirs} expected {shape:?} found {:?}{}",
                tensor.dims(),
                if tensor.dtype().is_float() { "" } else { " of integers" },
            )),
            None => self.keys.unfilled.push(name.to_owned()),
        }
        Tensor::zeros(shape, DType::F32, &Device::Cpu)
    }

    /// The counter `name`; 0 if there is none, for older files have none.
    pub(crate) fn take_count(&mut self, name: &str) -> Result<i64> {
        match self.tensors.remove(name) {
            Some((_, count)) if count.elem_count() == 1 => {
                count.to_dtype(DType::I64)?.reshape(())?.to_scalar()
            }
            Some((theirs, count)) => {
                let found = count.dims();
                self.keys.wrong.push(format!("{theirs} expected [] found {found:?}"));
                Ok(0)
            }
            None => Ok(0),
        }
    }

    /// All that did not fit, once everything has been taken.
    pub(crate) fn finish(mut self) -> Keys {
        self.keys.unused.extend(self.tensors.into_values().map(|(theirs, _)| theirs));
        self.keys
    }
}
