//! What a way back gives.

use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId};

use crate::{map, storage};

/// The gradients of variables, by the tensor each was made of.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of this variable; none if the result does not depend on it. Its values may
    /// lie in another order than the shape says: [`crate::row_major`] brings them into it.
    pub fn get(&self, variable: &Tensor) -> Option<&Tensor> {
        self.0.get(&variable.id())
    }

    pub(super) fn add(&mut self, id: TensorId, gradient: Tensor) -> Result<()> {
        let sum = match self.0.remove(&id) {
            Some(before) => add(&before, &gradient)?,
            None => gradient,
        };
        self.0.insert(id, sum);
        Ok(())
    }
}

/// The sum of two gradients of one value.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (storage::dense(a)?, storage::dense(b)?);
    #[cfg(feature = "cuda")]
    if a.device().is_cuda() {
        return map::cuda::add(&a, &b);
    }
    let sum = map::zip(&storage::read(&a)?, &storage::read(&b)?, |a, b| a + b);
    storage::tensor(sum, a.shape())
}
