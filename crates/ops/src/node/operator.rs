//! What an operator does on the way back.

use std::fmt;

use candle_core::{Result, Tensor, bail};

use crate::{map, storage};

/// What a step of a computation needs on the way back.
pub(crate) trait Operator: fmt::Debug + Send + Sync {
    /// The gradients of the arguments, of those that are wanted, from that of the result.
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>>;
}

/// What is asked of a step on the way back.
pub(crate) struct Way<'a> {
    /// Of each argument, whether its gradient is wanted.
    wanted: Vec<bool>,
    /// The rows of the batch that are taken back; all, if there are none here.
    rows: Option<&'a [u32]>,
}

impl<'a> Way<'a> {
    /// Gradients of these arguments, of these rows or of all.
    pub(super) fn new(wanted: Vec<bool>, rows: Option<&'a [u32]>) -> Self {
        Self { wanted, rows }
    }

    /// Whether the gradient of argument `index` is wanted.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.wanted[index]
    }

    /// The same of an argument that need not exist.
    pub(crate) fn argument(&self, index: usize) -> Option<bool> {
        self.wanted.get(index).copied()
    }

    /// The rows that are taken back, of a tensor that has all of them.
    pub(crate) fn rows_of(&self, tensor: &Tensor) -> Result<Tensor> {
        self.rows.map_or_else(|| Ok(tensor.clone()), |some| rows(tensor, some))
    }

    /// The numbers of the rows that are taken back, if they are not all.
    pub(crate) fn rows(&self) -> Option<&[u32]> {
        self.rows
    }

    /// # Errors
    ///
    /// If only some rows are taken back, through an operator that joins all of them.
    pub(crate) fn expect_all_rows(&self, operator: &str) -> Result<()> {
        if self.rows.is_some() {
            bail!("{operator} has no gradients of some rows of a batch alone");
        }
        Ok(())
    }
}

/// Some rows of a dense tensor.
pub(super) fn rows(tensor: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let mut dims = tensor.dims().to_vec();
    let row = tensor.elem_count() / dims[0].max(1);
    let some = map::rows(rows, row, &storage::read(tensor)?);
    dims[0] = rows.len();
    storage::tensor(some, dims)
}
