//! The fully connected layer.

#![expect(unsafe_code, reason = "matrix products through pointers")]

use candle_core::{Result, Tensor, bail};
use gemm::Parallelism;
use rayon::prelude::*;

use crate::{
    Node,
    dots::{LEFT, RIGHT, dots},
    node::{Operator, Way},
    shared::filled,
    storage,
};

/// `y = x w^T + b`, as `torch.nn.functional.linear`.
///
/// The gradients of `w` and `b` are computed only where they are variables, that of `x`
/// only where `x` depends on one. The result and the gradient of a row of `x` do not
/// depend on the other rows.
///
/// # Shapes
///
/// `x` is `[N, in]`, `w` is `[out, in]`, `bias` is `[out]`; the result is `[N, out]`. All
/// f32 and on the CPU.
///
/// # Errors
///
/// If the shapes do not fit together, or for another type or device.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::Node;
///
/// let x = Node::from(&Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?);
/// let w = Node::from(&Tensor::new(&[[1f32, 0.0], [3.0, 4.0]], &Device::Cpu)?);
/// let b = Node::from(&Tensor::new(&[0.5f32, 0.0], &Device::Cpu)?);
/// assert_eq!(ops::linear(&x, &w, Some(&b))?.to_vec2::<f32>()?, [[1.5, 11.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn linear(x: &Node, w: &Node, bias: Option<&Node>) -> Result<Node> {
    let (&[rows, inputs], &[outputs, expected]) = (x.dims(), w.dims()) else {
        bail!(
            "linear expects [N, in] and [out, in], found {:?} and {:?}",
            x.dims(),
            w.dims()
        );
    };
    if inputs != expected || rows * inputs * outputs == 0 {
        bail!("linear: input {:?} and weights {:?} do not fit", x.dims(), w.dims());
    }
    if let Some(bias) = bias
        && bias.dims() != [outputs]
    {
        bail!("linear expects a bias [{outputs}], found {:?}", bias.dims());
    }
    let sizes = Sizes { rows, inputs, outputs };
    let (x_values, w_values) = (x.dense()?, w.dense()?);
    let bias_values = bias.map(Node::dense).transpose()?;
    let y = {
        let bias = bias_values.as_ref().map(storage::read).transpose()?;
        sizes.forward(
            &storage::read(&x_values)?,
            &storage::read(&w_values)?,
            bias.as_deref(),
        )
    };
    let y = storage::tensor(y, (rows, outputs))?;
    let mut arguments = vec![x, w];
    arguments.extend(bias);
    Ok(Node::of(y, &arguments, Linear { sizes, x: x_values, w: w_values }))
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    rows: usize,
    inputs: usize,
    outputs: usize,
}

/// Inputs that are summed at a time.
const INPUTS: usize = 2048;
/// Outputs that are summed at a time on the way back.
const SUMMED: usize = 256;
/// Outputs of a task.
const OUTPUTS: usize = 16;

impl Sizes {
    /// Scalar products of rows of `x` with rows of `w`, block by block of their elements:
    /// the order of a sum depends on the number of inputs alone.
    fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let &Self { rows, inputs, outputs } = self;
        let tasks = outputs.div_ceil(OUTPUTS);
        // SAFETY: each task writes its outputs of every row.
        unsafe {
            filled(rows * outputs, |y| {
                (0..tasks).into_par_iter().for_each(|task| {
                    let first = task * OUTPUTS;
                    let count = (outputs - first).min(OUTPUTS);
                    let w = &w[first * inputs..][..count * inputs];
                    let sums = self.sums(x, w);
                    for (n, sums) in sums.chunks_exact(count).enumerate() {
                        for (o, sum) in (first..).zip(sums) {
                            let sum = sum + bias.map_or(0.0, |bias| bias[o]);
                            y.pointer(n * outputs + o).write(sum);
                        }
                    }
                });
            })
        }
    }

    /// `x w^T` for a few rows of the weights, `[row of x][row of w]`.
    fn sums(&self, x: &[f32], w: &[f32]) -> Vec<f32> {
        let &Self { rows, inputs, .. } = self;
        let outputs = w.len() / inputs;
        let mut sums = vec![0.0; rows * outputs];
        for start in (0..inputs).step_by(INPUTS) {
            let len = (inputs - start).min(INPUTS);
            // behind the last row stands the last row again
            let x = |n: usize| &x[n.min(rows - 1) * inputs + start..][..len];
            let w = |o: usize| &w[o.min(outputs - 1) * inputs + start..][..len];
            for n in (0..rows).step_by(RIGHT) {
                let right = core::array::from_fn(|k| x(n + k));
                for o in (0..outputs).step_by(LEFT) {
                    let left = core::array::from_fn(|k| w(o + k));
                    for (o, block) in (o..outputs).zip(dots(left, right)) {
                        for (n, sum) in (n..rows).zip(block) {
                            sums[n * outputs + o] += sum;
                        }
                    }
                }
            }
        }
        sums
    }

    /// `dx = dy w`
    fn backward_data(&self, dy: &[f32], w: &[f32]) -> Vec<f32> {
        let &Self { rows, inputs, outputs } = self;
        // With one row, or with more outputs than it takes at a time, the order in which the
        // product is summed would depend on the number of rows.
        let padded = rows.max(2);
        let mut dx = vec![0.0; rows * inputs];
        for first in (0..outputs).step_by(SUMMED) {
            let count = (outputs - first).min(SUMMED);
            let mut part = vec![0.0; padded * count];
            for (part, dy) in part.chunks_exact_mut(count).zip(dy.chunks_exact(outputs)) {
                part.copy_from_slice(&dy[first..first + count]);
            }
            let part = product(
                (padded, count, inputs),
                Matrix { values: &part, strides: (count, 1) },
                Matrix {
                    values: &w[first * inputs..][..count * inputs],
                    strides: (inputs, 1),
                },
            );
            dx.iter_mut().zip(&part).for_each(|(dx, part)| *dx += part);
        }
        dx
    }

    /// `dw = dy^T x`
    fn backward_weight(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let &Self { rows, inputs, outputs } = self;
        product(
            (outputs, rows, inputs),
            Matrix { values: dy, strides: (1, outputs) },
            Matrix { values: x, strides: (inputs, 1) },
        )
    }

    /// `db`, the sums of the columns of `dy`.
    fn backward_bias(&self, dy: &[f32]) -> Vec<f32> {
        let mut sums = vec![0f64; self.outputs];
        for dy in dy.chunks_exact(self.outputs) {
            for (sum, &dy) in sums.iter_mut().zip(dy) {
                *sum += f64::from(dy);
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}

#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    /// Elements from a row to the next, and from a column to the next.
    strides: (usize, usize),
}

/// Columns of the product that a task computes.
const COLUMNS: usize = 512;

/// The product of a `rows` x `inner` and an `inner` x `columns` matrix.
fn product(
    (rows, inner, columns): (usize, usize, usize),
    a: Matrix<'_>,
    b: Matrix<'_>,
) -> Vec<f32> {
    assert_eq!(a.values.len(), rows * inner, "left operand");
    assert_eq!(b.values.len(), inner * columns, "right operand");
    let tasks = columns.div_ceil(COLUMNS);
    // SAFETY: the strides describe the two matrices, whose sizes were checked; each task
    // writes its columns of every row.
    unsafe {
        filled(rows * columns, |out| {
            (0..tasks).into_par_iter().for_each(|task| {
                let first = task * COLUMNS;
                gemm::gemm(
                    rows,
                    (columns - first).min(COLUMNS),
                    inner,
                    out.pointer(first),
                    1,
                    columns as isize,
                    false,
                    a.values.as_ptr(),
                    a.strides.1 as isize,
                    a.strides.0 as isize,
                    b.values[first * b.strides.1..].as_ptr(),
                    b.strides.1 as isize,
                    b.strides.0 as isize,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            });
        })
    }
}

#[derive(Debug)]
struct Linear {
    sizes: Sizes,
    x: Tensor,
    w: Tensor,
}

impl Operator for Linear {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let sizes = Sizes { rows: dy.dim(0)?, ..self.sizes };
        let x = way.wants(1).then(|| way.rows_of(&self.x)).transpose()?;
        let x = x.as_ref().map(storage::read).transpose()?;
        let (w, dy) = (storage::read(&self.w)?, storage::read(dy)?);
        let shape = (sizes.rows, sizes.inputs);
        let dx = || storage::tensor(sizes.backward_data(&dy, &w), shape);
        let dw = |x: &[f32]| storage::tensor(sizes.backward_weight(x, &dy), self.w.shape());
        let mut gradients =
            vec![way.wants(0).then(dx).transpose()?, x.as_deref().map(dw).transpose()?];
        if let Some(bias) = way.argument(2) {
            let db = || storage::tensor(sizes.backward_bias(&dy), sizes.outputs);
            gradients.push(bias.then(db).transpose()?);
        }
        Ok(gradients)
    }
}
