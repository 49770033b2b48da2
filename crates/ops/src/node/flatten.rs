//! Images as rows of features.

use candle_core::{Result, Tensor, bail};

use super::{Node, Operator, Way};
use crate::storage;

impl Node {
    /// The same values in the dimensions `0..dim` and one for all the others, as
    /// `torch.flatten`.
    ///
    /// # Errors
    ///
    /// If there is no such dimension, or it is the batch's, which `backward_rows` picks from.
    pub fn flatten_from(&self, dim: usize) -> Result<Self> {
        if dim == 0 {
            bail!("flatten_from expects a dimension behind the batch's, found 0");
        }
        let value = storage::row_major(&self.value)?.flatten_from(dim)?;
        Ok(Self::of(value, &[self], Flatten { dims: self.dims().to_vec() }))
    }
}

#[derive(Debug)]
struct Flatten {
    dims: Vec<usize>,
}

impl Operator for Flatten {
    fn backward(&self, dy: &Tensor, _: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let mut dims = self.dims.clone();
        dims[0] = dy.dim(0)?;
        Ok(vec![Some(dy.reshape(dims)?)])
    }
}
