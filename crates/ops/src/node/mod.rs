//! A value that remembers how it was computed: the tape that gradients run back along.
//!
//! Candle's tape adds each gradient to fresh zeros, and keeps every activation until the
//! last gradient is there. Here the first gradient of a value is taken as it comes, and
//! [`Node::backward`] drops what a step has kept as soon as the step is done.

mod operator;

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use candle_core::{Result, Tensor, TensorId, Var, bail};

use crate::{map, storage};
pub(crate) use operator::{Operator, Way};

/// A tensor, and the steps that lead to it from variables.
///
/// It is made of a constant (`Node::from(&tensor)`), of a variable ([`Node::variable`],
/// `Node::from(&var)`) or by an operator. What is computed from constants alone is one.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::Node;
///
/// let x = Tensor::new(&[-1f32, 2.0], &Device::Cpu)?;
/// let y = ops::relu(&Node::variable(&x))?;
/// assert_eq!(y.to_vec1::<f32>()?, [0.0, 2.0]);
/// let gradients = y.backward(&Tensor::new(&[3f32, 4.0], &Device::Cpu)?)?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    value: Tensor,
    step: Option<Arc<Step>>,
}

#[derive(Debug)]
struct Step {
    /// Greater than those of the steps it was made from.
    number: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Variable(TensorId),
    Operator { operator: Box<dyn Operator>, arguments: Vec<Option<Arc<Step>>> },
}

impl Step {
    fn new(source: Source) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self { number: NEXT.fetch_add(1, Ordering::Relaxed), source })
    }
}

impl Node {
    /// A value whose gradient is wanted, under the identity of `tensor`.
    pub fn variable(tensor: &Tensor) -> Self {
        Self {
            value: tensor.detach(),
            step: Some(Step::new(Source::Variable(tensor.id()))),
        }
    }

    /// The result of `operator`, which is kept if one of the arguments leads to a variable.
    pub(crate) fn of(
        value: Tensor,
        arguments: &[&Self],
        operator: impl Operator + 'static,
    ) -> Self {
        if arguments.iter().all(|argument| argument.step.is_none()) {
            return Self { value, step: None };
        }
        let arguments = arguments.iter().map(|argument| argument.step.clone()).collect();
        let operator = Box::new(operator);
        Self { value, step: Some(Step::new(Source::Operator { operator, arguments })) }
    }

    /// The values in row-major order; copied only if they do not lie so.
    ///
    /// # Errors
    ///
    /// If they are not f32 on the CPU.
    pub(crate) fn contiguous(&self) -> Result<Tensor> {
        storage::expect_f32(&self.value)?;
        self.value.contiguous()
    }

    /// The tensor itself.
    pub fn tensor(&self) -> &Tensor {
        &self.value
    }

    /// Whether it leads to no variable.
    pub fn is_constant(&self) -> bool {
        self.step.is_none()
    }

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
        let value = self.contiguous()?.flatten_from(dim)?;
        Ok(Self::of(value, &[self], Flatten { dims: self.dims().to_vec() }))
    }

    /// The gradients of `Σ gradient ∘ self` by all variables that lead here.
    ///
    /// Steps are taken back in the reverse of the order in which they were made, so that
    /// the order of every sum is fixed. What only this node held is freed on the way.
    ///
    /// # Errors
    ///
    /// If the gradient has another shape.
    pub fn backward(self, gradient: &Tensor) -> Result<Gradients> {
        self.take_back(None, gradient)
    }

    /// [`Self::backward`] for some rows of the batch alone, in evaluation mode, where a row
    /// does not depend on the others: bit by bit what it gives for these rows.
    ///
    /// # Shapes
    ///
    /// - `gradient`: that of the node, with a row for each of `rows`; so are the gradients
    ///
    /// # Errors
    ///
    /// If there is no such row, or an operator of training is on the way.
    pub fn backward_rows(self, rows: &[u32], gradient: &Tensor) -> Result<Gradients> {
        let all = self.value.dim(0)?;
        if rows.is_empty() {
            bail!("backward_rows expects rows, found none");
        }
        if let Some(row) = rows.iter().find(|&&row| row as usize >= all) {
            bail!("backward_rows expects rows below {all}, found {row}");
        }
        // nothing to pick: no copies
        let every =
            rows.len() == all && rows.iter().enumerate().all(|(i, &r)| i == r as usize);
        self.take_back((!every).then_some(rows), gradient)
    }

    fn take_back(self, rows: Option<&[u32]>, gradient: &Tensor) -> Result<Gradients> {
        let mut expected = self.dims().to_vec();
        if let (Some(first), Some(rows)) = (expected.first_mut(), rows) {
            *first = rows.len();
        }
        if gradient.dims() != expected {
            let found = gradient.shape();
            bail!("backward expects a gradient of shape {expected:?}, found {found:?}");
        }
        storage::expect_f32(gradient)?;
        let mut gradients = Gradients::default();
        let mut open = BTreeMap::new();
        if let Some(step) = self.step {
            open.insert(step.number, (step, gradient.contiguous()?));
        }
        drop(self.value);
        while let Some((_, (step, dy))) = open.pop_last() {
            match &step.source {
                Source::Variable(id) => gradients.add(*id, dy)?,
                Source::Operator { operator, arguments } => {
                    let wanted = arguments.iter().map(Option::is_some).collect();
                    let found = operator.backward(&dy, &Way::new(wanted, rows))?;
                    for (step, dx) in arguments.iter().zip(found) {
                        let (Some(step), Some(dx)) = (step, dx) else { continue };
                        match open.entry(step.number) {
                            Entry::Vacant(entry) => {
                                entry.insert((Arc::clone(step), dx));
                            }
                            Entry::Occupied(mut entry) => {
                                let sum = &mut entry.get_mut().1;
                                *sum = add(sum, &dx)?;
                            }
                        }
                    }
                }
            }
        }
        Ok(gradients)
    }
}

/// A constant.
impl From<&Tensor> for Node {
    fn from(tensor: &Tensor) -> Self {
        Self { value: tensor.detach(), step: None }
    }
}

impl From<&Var> for Node {
    fn from(var: &Var) -> Self {
        Self::variable(var.as_tensor())
    }
}

impl Deref for Node {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.value
    }
}

/// The gradients of variables, by the tensor each was made of.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of this variable; none if the result does not depend on it.
    pub fn get(&self, variable: &Tensor) -> Option<&Tensor> {
        self.0.get(&variable.id())
    }

    fn add(&mut self, id: TensorId, gradient: Tensor) -> Result<()> {
        let sum = match self.0.remove(&id) {
            Some(before) => add(&before, &gradient)?,
            None => gradient,
        };
        self.0.insert(id, sum);
        Ok(())
    }
}

fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let sum = map::zip(&storage::read(a)?, &storage::read(b)?, |a, b| a + b);
    storage::tensor(sum, a.shape())
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn values(gradients: &Gradients, x: &Tensor) -> Vec<f32> {
        gradients.get(x).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_value_that_is_used_twice_gets_the_sum() -> Result<()> {
        let x = Tensor::new(&[1f32, -2.0], &Device::Cpu)?;
        let seed = Tensor::new(&[10f32, 1.0], &Device::Cpu)?;
        let once = crate::relu(&Node::variable(&x))?;
        let gradients = crate::add_relu(&once, &once)?.backward(&seed)?;
        assert_eq!(values(&gradients, &x), [20.0, 0.0]);
        // two leaves of one variable
        let (a, b) = (Node::variable(&x), Node::variable(&x));
        assert_eq!(values(&crate::add_relu(&a, &b)?.backward(&seed)?, &x), [20.0, 0.0]);
        Ok(())
    }

    #[test]
    fn what_is_made_of_constants_keeps_nothing() -> Result<()> {
        let x = Tensor::new(&[1f32, -2.0], &Device::Cpu)?;
        let y = crate::relu(&Node::from(&x))?;
        assert!(y.is_constant());
        assert!(y.backward(&x)?.get(&x).is_none());
        Ok(())
    }

    #[test]
    fn a_gradient_of_another_shape_or_type_is_refused() -> Result<()> {
        let x = Tensor::new(&[1f32, -2.0], &Device::Cpu)?;
        let y = Node::variable(&x);
        let error = y.clone().backward(&x.narrow(0, 0, 1)?).unwrap_err().to_string();
        assert!(error.contains("shape [2], found [1]"), "{error}");
        assert!(y.backward(&x.to_dtype(DType::F64)?).is_err());
        Ok(())
    }

    #[test]
    fn two_results_of_one_computation_have_gradients_each() -> Result<()> {
        let x = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
        let y = crate::relu(&Node::variable(&x))?;
        let first = y.clone().backward(&x)?;
        let second = y.backward(&(&x * 2.0)?)?;
        assert_eq!(values(&first, &x), [1.0, 2.0]);
        assert_eq!(values(&second, &x), [2.0, 4.0]);
        Ok(())
    }
}
