//! A value that remembers how it was computed: the tape that gradients run back along.
//!
//! Candle's tape adds each gradient to fresh zeros, and keeps every activation until the
//! last gradient is there. Here the first gradient of a value is taken as it comes, and
//! [`Node::backward`] drops what a step has kept as soon as the step is done.

mod flatten;
mod gradients;
mod operator;

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use candle_core::{Result, Tensor, TensorId, Var, bail};

use crate::storage;
pub use gradients::Gradients;
use gradients::add;
pub(crate) use operator::{End, Operator, Way};

/// A tensor, and the steps that lead to it from variables.
///
/// It is made of a constant (`Node::from(&tensor)`), of a variable ([`Node::variable`],
/// `Node::from(&var)`) or by an operator. What is computed from constants alone is one.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Activation, Node, activate};
///
/// let x = Tensor::new(&[-1f32, 2.0], &Device::Cpu)?;
/// let y = activate(&Node::variable(&x), Activation::Relu)?;
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

/// A step that is not taken back yet.
struct Open {
    step: Arc<Step>,
    /// The gradient of its result so far, and whether it has passed its activation.
    dy: Tensor,
    passed: bool,
}

impl Step {
    /// What is to be done with the gradient of its result, of which some may be there.
    fn end(&self, open: &BTreeMap<u64, Open>) -> End {
        let added = open.get(&self.number).map(|open| open.dy.clone());
        let clipped = match &self.source {
            Source::Variable(_) => None,
            Source::Operator { operator, .. } => operator.clipped().cloned(),
        };
        End { added, clipped }
    }

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

    /// The values as operators read them, copied only if they do not lie so.
    ///
    /// # Errors
    ///
    /// If they are not f32 on the CPU, nor f32 or bf16 on a GPU.
    pub(crate) fn dense(&self) -> Result<Tensor> {
        storage::dense(&self.value)
    }

    /// The tensor itself; images and features lie with their channels last.
    pub fn tensor(&self) -> &Tensor {
        &self.value
    }

    /// Some rows of the batch, which may repeat, as a constant.
    ///
    /// # Errors
    ///
    /// If there is no such row.
    pub fn rows(&self, rows: &[u32]) -> Result<Self> {
        self.expect_rows(rows)?;
        Ok(Self { value: operator::rows(&self.dense()?, rows)?, step: None })
    }

    fn expect_rows(&self, rows: &[u32]) -> Result<()> {
        let all = self.value.dim(0)?;
        match rows.iter().find(|&&row| row as usize >= all) {
            Some(row) => bail!("expected rows below {all}, found {row}"),
            None => Ok(()),
        }
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
        if rows.is_empty() {
            bail!("backward_rows expects rows, found none");
        }
        self.expect_rows(rows)?;
        let all = self.value.dim(0)?;
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
        storage::expect_values(gradient)?;
        let mut gradients = Gradients::default();
        let mut open = BTreeMap::new();
        if let Some(step) = self.step {
            let dy = gradient.clone();
            open.insert(step.number, Open { step, dy, passed: false });
        }
        drop(self.value);
        while let Some((_, Open { step, dy, passed })) = open.pop_last() {
            match &step.source {
                Source::Variable(id) => gradients.add(*id, dy)?,
                Source::Operator { operator, arguments } => {
                    let dy = storage::dense(&dy)?;
                    let wanted = arguments.iter().map(Option::is_some).collect();
                    let first = arguments.first().and_then(Option::as_ref);
                    let end = first.map_or_else(End::default, |step| step.end(&open));
                    let way = Way::new(wanted, rows, passed, end);
                    let found = operator.backward(&dy, &way)?;
                    for (i, (step, dx)) in arguments.iter().zip(found).enumerate() {
                        let (Some(step), Some(dx)) = (step, dx) else { continue };
                        let passed = i == 0 && way.is_ended();
                        let before = open.remove(&step.number).filter(|_| !passed);
                        let dy = match before {
                            Some(before) => add(&before.dy, &dx)?,
                            None => dx,
                        };
                        let step = Arc::clone(step);
                        open.insert(step.number, Open { step, dy, passed });
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::{Activation, Fold, Then, activate, batch_norm_eval};

    fn values(gradients: &Gradients, x: &Tensor) -> Vec<f32> {
        gradients.get(x).unwrap().to_vec1().unwrap()
    }

    /// The sum of two images.
    fn add(a: &Node, b: &Node) -> Result<Node> {
        let [zero, one] = [0f32, 1.0].map(|v| Tensor::new(&[v], &Device::Cpu));
        let (zero, one) = (zero?, one?);
        let identity = Fold::new(&one, &zero, &zero, &one, 0.0)?;
        batch_norm_eval(a, &identity, Then { shortcut: Some(b), ..Then::NOTHING })
    }

    #[test]
    fn a_value_that_is_used_twice_gets_the_sum() -> Result<()> {
        let x = Tensor::new(&[[[[1f32, -2.0]]]], &Device::Cpu)?;
        let seed = Tensor::new(&[[[[10f32, 1.0]]]], &Device::Cpu)?;
        let twice = |gradients: Gradients| -> Result<Vec<f32>> {
            gradients.get(&x).unwrap().flatten_all()?.to_vec1()
        };
        let once = activate(&Node::variable(&x), Activation::Relu)?;
        assert_eq!(twice(add(&once, &once)?.backward(&seed)?)?, [20.0, 0.0]);
        // two leaves of one variable
        let (a, b) = (Node::variable(&x), Node::variable(&x));
        let sum = activate(&add(&a, &b)?, Activation::Relu)?;
        assert_eq!(twice(sum.backward(&seed)?)?, [20.0, 0.0]);
        Ok(())
    }

    #[test]
    fn what_is_made_of_constants_keeps_nothing() -> Result<()> {
        let x = Tensor::new(&[1f32, -2.0], &Device::Cpu)?;
        let y = activate(&Node::from(&x), Activation::Relu)?;
        assert!(y.step.is_none());
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
        let y = activate(&Node::variable(&x), Activation::Relu)?;
        let first = y.clone().backward(&x)?;
        let second = y.backward(&(&x * 2.0)?)?;
        assert_eq!(values(&first, &x), [1.0, 2.0]);
        assert_eq!(values(&second, &x), [2.0, 4.0]);
        Ok(())
    }
}
