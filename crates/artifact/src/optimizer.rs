use std::{collections::BTreeMap, path::Path};

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Provenance, Result, model::read_tensors, tensors::TensorFile, values::Values};

/// Where the optimiser stands: JSON under the metadata key `optimizer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerState {
    /// The algorithm, such as `adam`.
    pub algorithm: String,
    /// Steps taken so far.
    pub step: u64,
    /// Epochs trained so far, over all rounds.
    pub epoch: u32,
    /// The learning rate of the last step.
    pub learning_rate: f64,
}

/// An optimiser's moments, `optimizer.safetensors`: with it training continues as if it had
/// never stopped.
#[derive(Clone, Debug)]
pub struct OptimizerFile {
    /// `exp_avg.NAME` and `exp_avg_sq.NAME`, or `momentum_buffer.NAME`, for each parameter.
    pub tensors: BTreeMap<String, Tensor>,
    /// Where it stands.
    pub state: OptimizerState,
    /// What it was made from, unless it is foreign.
    pub provenance: Option<Provenance>,
}

impl OptimizerFile {
    /// Reads the moments at `path` onto the CPU.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let state = file.require_json(KEY, FORM)?;
        Ok(Self { tensors: read_tensors(&file)?, state, provenance: file.provenance()? })
    }

    /// Writes the moments to `path`, atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        let values = Values::of(path, &self.tensors)?;
        self.state.write(path, &values, self.provenance.as_ref())
    }
}

impl OptimizerState {
    /// Writes the file of this state and of its moments to `path`, atomically.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(
        &self,
        path: &Path,
        moments: &Values<'_>,
        provenance: Option<&Provenance>,
    ) -> Result<()> {
        moments.contents().json(KEY, self).provenance(provenance).write(path)
    }
}

const KEY: &str = "optimizer";

const FORM: &str = r#"JSON {"algorithm": …, "step": …, "epoch": …, "learning_rate": …}"#;

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn what_is_written_is_read() -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("optimizer.safetensors");
        let moment = Tensor::new(&[0.1f32, 0.2], &Device::Cpu).unwrap();
        let state = OptimizerState {
            algorithm: "adam".into(),
            step: 12,
            epoch: 4,
            learning_rate: 1e-4,
        };
        OptimizerFile {
            tensors: BTreeMap::from([("exp_avg.fc.bias".into(), moment)]),
            state: state.clone(),
            provenance: None,
        }
        .write(&path)?;
        let read = OptimizerFile::read(&path)?;
        assert_eq!(read.state, state);
        assert_eq!(read.tensors["exp_avg.fc.bias"].to_vec1::<f32>().unwrap(), [0.1, 0.2]);
        Ok(())
    }
}
