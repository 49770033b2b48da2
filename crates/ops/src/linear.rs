//! The fully connected layer.

#![expect(unsafe_code, reason = "tasks write disjoint results of one output")]

#[cfg(feature = "cuda")]
mod cuda;

use core::ops::Range;

use candle_core::{Result, Tensor, bail};

use crate::{
    Node,
    combine::{TAKEN, TAKING, combine},
    dots::{LEFT, RIGHT, dots},
    map,
    node::{Operator, Way},
    shared::filled,
    storage, threads,
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
/// f32 on the CPU; on a GPU values may be bf16.
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
    let y = forward(sizes, &x_values, &w_values, bias_values.as_ref())?;
    let mut arguments = vec![x, w];
    arguments.extend(bias);
    Ok(Node::of(y, &arguments, Linear { sizes, x: x_values, w: w_values }))
}

fn forward(sizes: Sizes, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::forward(x, w, bias);
    }
    let bias = bias.map(storage::read).transpose()?;
    let y = sizes.forward(&storage::read(x)?, &storage::read(w)?, bias.as_deref());
    storage::tensor(y, (sizes.rows, sizes.outputs))
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    rows: usize,
    inputs: usize,
    outputs: usize,
}

/// Inputs that are summed at a time.
const INPUTS: usize = 4096;
/// Outputs that are summed at a time on the way back.
const SUMMED: usize = 256;
/// Outputs of a task.
const OUTPUTS: usize = 16;
/// Columns of a gradient that are summed at a time: they stay in the first-level cache.
const COLUMNS: usize = 512;

impl Sizes {
    /// Scalar products of rows of `x` with rows of `w`, block by block of their elements:
    /// the order of a sum depends on the number of inputs alone.
    fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let &Self { rows, inputs, outputs } = self;
        let tasks = outputs.div_ceil(OUTPUTS);
        // SAFETY: each task writes its outputs of every row.
        unsafe {
            filled(rows * outputs, |y| {
                threads::each(tasks, |task| {
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

    /// `dx = dy w`, some of its columns a task: these of all weights, from first to last.
    fn backward_data(&self, dy: &[f32], w: &[f32]) -> Vec<f32> {
        let &Self { rows, inputs, .. } = self;
        // SAFETY: each task writes its columns of every row.
        unsafe {
            filled(rows * inputs, |dx| {
                threads::each(inputs.div_ceil(COLUMNS), |task| {
                    let first = task * COLUMNS;
                    let columns = first..(first + COLUMNS).min(inputs);
                    let sums = self.combined(dy, w, columns.clone());
                    for (n, sums) in sums.chunks_exact(columns.len()).take(rows).enumerate()
                    {
                        let to = dx.pointer(n * inputs + first);
                        to.copy_from_nonoverlapping(sums.as_ptr(), columns.len());
                    }
                });
            })
        }
    }

    /// Some columns of `dy w`, summed a few outputs at a time. Behind an odd number of rows stands
    /// a row of zeros.
    fn combined(&self, dy: &[f32], w: &[f32], columns: Range<usize>) -> Vec<f32> {
        let &Self { rows, inputs, outputs } = self;
        let mut sums = vec![0.0; rows.next_multiple_of(TAKING) * columns.len()];
        let mut part = sums.clone();
        for start in (0..outputs).step_by(SUMMED) {
            part.fill(0.0);
            for o in (start..outputs.min(start + SUMMED)).step_by(TAKEN) {
                let row = |k: usize| row(w, inputs, o + k, &columns);
                let taken = core::array::from_fn(row);
                let pairs = part.chunks_exact_mut(TAKING * columns.len());
                for (n, part) in (0..rows).step_by(TAKING).zip(pairs) {
                    let factors =
                        factors((rows, outputs), (n, o), |n, o| dy[n * outputs + o]);
                    combine(
                        part.split_at_mut(columns.len()),
                        factors,
                        taken,
                        TAKEN * inputs,
                    );
                }
            }
            sums.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
        }
        sums
    }

    /// `dw = dy^T x`, some of its rows a task.
    fn backward_weight(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let &Self { rows, inputs, outputs } = self;
        map::pieces(outputs * inputs, TAKING * inputs, |pair, dw| {
            let (first, second) = dw.split_at_mut(inputs);
            let mut none = vec![0.0; inputs - second.len()];
            let second = if second.is_empty() { &mut none } else { second };
            for start in (0..inputs).step_by(COLUMNS) {
                let columns = start..(start + COLUMNS).min(inputs);
                for n in (0..rows).step_by(TAKEN) {
                    let row = |k: usize| row(x, inputs, n + k, &columns);
                    let at = (pair * TAKING, n);
                    let factors = factors((outputs, rows), at, |o, n| dy[n * outputs + o]);
                    let sums = (&mut first[columns.clone()], &mut second[columns.clone()]);
                    combine(sums, factors, core::array::from_fn(row), 0);
                }
            }
        })
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

/// Some columns of a row of a matrix, and zeros behind its last.
fn row<'a>(
    matrix: &'a [f32],
    width: usize,
    number: usize,
    columns: &Range<usize>,
) -> &'a [f32] {
    static ZEROS: [f32; COLUMNS] = [0.0; COLUMNS];
    let row = matrix.get(number * width..).filter(|rest| !rest.is_empty());
    row.map_or(&ZEROS[..columns.len()], |row| &row[columns.start..columns.end])
}

/// The factors of a block of [`combine`], and zeros beyond the last row and column.
fn factors(
    (rows, columns): (usize, usize),
    (row, column): (usize, usize),
    of: impl Fn(usize, usize) -> f32,
) -> [[f32; TAKEN]; TAKING] {
    core::array::from_fn(|i| {
        core::array::from_fn(|k| {
            let (row, column) = (row + i, column + k);
            if row < rows && column < columns { of(row, column) } else { 0.0 }
        })
    })
}

#[derive(Debug)]
struct Linear {
    sizes: Sizes,
    x: Tensor,
    w: Tensor,
}

impl Operator for Linear {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        #[cfg(feature = "cuda")]
        if dy.device().is_cuda() {
            return cuda::backward(dy, (&self.x, &self.w), way);
        }
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
