//! What a rule remembers of a parameter, where the parameter is.

use artifact::Values;
use candle_core::{DType, Result, Tensor, Var};

/// A value for each of a parameter's.
pub(super) enum Moment {
    /// For the processor.
    Here(Vec<f32>),
    /// For a GPU: in its memory.
    There(Tensor),
}

impl Moment {
    /// Zeros.
    pub(super) fn zeros(parameter: &Var) -> Result<Self> {
        if parameter.device().is_cpu() {
            return Ok(Self::Here(vec![0.0; parameter.elem_count()]));
        }
        let zeros = Tensor::zeros(parameter.shape(), DType::F32, parameter.device())?;
        Ok(Self::There(zeros))
    }

    /// What was written.
    pub(super) fn read(written: &Tensor, parameter: &Var) -> Result<Self> {
        if parameter.device().is_cpu() {
            return Ok(Self::Here(ops::host(written)?));
        }
        Ok(Self::There(written.contiguous()?.to_device(parameter.device())?))
    }

    /// Adds it to what is written: lent, or copied from the GPU.
    pub(super) fn lend<'a>(
        &'a self,
        name: String,
        parameter: &'a Var,
        values: &mut Values<'a>,
    ) -> Result<()> {
        match self {
            Self::Here(moment) => values.insert(name, parameter.dims(), moment),
            Self::There(moment) => {
                values.insert_copy(name, parameter.dims(), ops::host(moment)?);
            }
        }
        Ok(())
    }
}
