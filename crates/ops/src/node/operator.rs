//! What an operator does on the way back.

use std::{cell::Cell, fmt};

use candle_core::{Result, Tensor, bail};

use crate::{
    activation::{Bounds, passed},
    map, storage,
};

/// What a step of a computation needs on the way back.
pub(crate) trait Operator: fmt::Debug + Send + Sync {
    /// The gradients of the arguments, of those that are wanted, from that of the result.
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>>;

    /// The result, if an activation made it, and the activation's bounds: what comes back may
    /// have passed it already, as [`Way::pass`] knows.
    fn clipped(&self) -> Option<&(Tensor, Bounds)> {
        None
    }
}

/// What is done with the gradient of an argument. Who computes one of its summands may do it
/// before that is written, which spares a pass over memory each: add what came before, and pass
/// the activation. Should another summand come, the sum passes again, which changes nothing: an
/// activation here keeps a gradient or makes it 0, by its own result alone.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// The sum of the gradients that came before, which is added.
    pub(crate) added: Option<Tensor>,
    /// The activation that it passes then: the result, and the bounds.
    pub(crate) clipped: Option<(Tensor, Bounds)>,
}

/// What is asked of a step on the way back.
pub(crate) struct Way<'a> {
    /// Of each argument, whether its gradient is wanted.
    wanted: Vec<bool>,
    /// The rows of the batch that are taken back; all, if there are none here.
    rows: Option<&'a [u32]>,
    /// Whether the gradient has passed the step's activation.
    passed: bool,
    /// That of the first argument's gradient, until it is taken.
    end: Cell<Option<End>>,
}

impl<'a> Way<'a> {
    /// Gradients of these arguments, of these rows or of all.
    pub(super) fn new(
        wanted: Vec<bool>,
        rows: Option<&'a [u32]>,
        passed: bool,
        end: End,
    ) -> Self {
        Self { wanted, rows, passed, end: Cell::new(Some(end)) }
    }

    /// The gradient of what an activation was given, from that of its result.
    pub(crate) fn pass(
        &self,
        clipped: Option<&(Tensor, Bounds)>,
        dy: &Tensor,
    ) -> Result<Tensor> {
        match clipped {
            Some((y, bounds)) if !self.passed => passed(&self.rows_of(y)?, dy, *bounds),
            _ => Ok(dy.clone()),
        }
    }

    /// What the caller promises to do with the gradient of the first argument.
    pub(crate) fn take_end(&self) -> Result<End> {
        let End { added, clipped } = self.end.take().unwrap_or_default();
        let added = added.as_ref().map(storage::dense).transpose()?;
        let of_rows =
            |(y, bounds)| Ok::<_, candle_core::Error>((self.rows_of(&y)?, bounds));
        Ok(End { added, clipped: clipped.map(of_rows).transpose()? })
    }

    /// Whether that was taken.
    pub(super) fn is_ended(&self) -> bool {
        let end = self.end.take();
        let taken = end.is_none();
        self.end.set(end);
        taken
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
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return map::cuda::rows(tensor, rows);
    }
    let mut dims = tensor.dims().to_vec();
    let row = tensor.elem_count() / dims[0].max(1);
    let some = map::rows(rows, row, &storage::read(tensor)?);
    dims[0] = rows.len();
    storage::tensor(some, dims)
}
