//! Average pooling.

use candle_core::{Result, Tensor};

use super::{
    Pool2d,
    window::{Windows, values},
};
use crate::{
    Node, map,
    node::{Operator, Way},
    simd::{Loop, vectorized},
    storage,
};

/// Average pooling, padding counting as zeros (`count_include_pad=True` of `PyTorch`).
///
/// ```text
/// y(i, j) = sum over the window of x / (kernel height * kernel width)
/// ```
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`
/// - result: `[N, C, H', W']`, see [`Pool2d`]
///
/// # Errors
///
/// If a window does not fit, or padding is more than half of one.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::{Node, Pool2d};
///
/// let x = Node::from(&Tensor::new(&[[[[1f32, 5.0, 2.0], [4.0, 2.0, 7.0]]]], &Device::Cpu)?);
/// let pool = Pool2d { kernel: (2, 2), stride: (1, 1), padding: (0, 0) };
/// assert_eq!(ops::avg_pool2d(&x, pool)?.flatten_all()?.to_vec1::<f32>()?, [3.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn avg_pool2d(x: &Node, pool: Pool2d) -> Result<Node> {
    let operator = AvgPool { windows: Windows::new(x, pool)? };
    let values = x.dense()?;
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        let y = super::cuda::average(&values, &operator.windows)?;
        return Ok(Node::of(y, &[x], operator));
    }
    let y = operator.forward(&storage::read(&values)?);
    Ok(Node::of(storage::tensor(y, operator.windows.shape())?, &[x], operator))
}

#[derive(Debug)]
struct AvgPool {
    windows: Windows,
}

impl AvgPool {
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let windows = self.windows;
        let (input, outputs) = (windows.input(), windows.rows.outputs);
        map::pieces(windows.batch * windows.output(), windows.output_row(), |i, y| {
            let (image, row) = (i / outputs, i % outputs);
            vectorized(OutputRow { windows, row, x: &x[image * input..][..input], y });
        })
    }
}

impl Operator for AvgPool {
    fn backward(&self, dy: &Tensor, _: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let windows = Windows { batch: dy.dim(0)?, ..self.windows };
        #[cfg(feature = "cuda")]
        if dy.device().is_cuda() {
            return Ok(vec![Some(super::cuda::average_back(dy, &windows)?)]);
        }
        let (output, inputs) = (windows.output(), windows.rows.size);
        let dy = storage::read(dy)?;
        let dx =
            map::pieces(windows.batch * windows.input(), windows.input_row(), |i, dx| {
                let (image, row) = (i / inputs, i % inputs);
                vectorized(InputRow {
                    windows,
                    row,
                    dy: &dy[image * output..][..output],
                    dx,
                });
            });
        Ok(vec![Some(storage::tensor(dx, windows.input_shape())?)])
    }
}

fn area(windows: &Windows) -> f32 {
    (windows.rows.kernel * windows.columns.kernel) as f32
}

/// The averages of a row of windows of the image `x`.
struct OutputRow<'a> {
    windows: Windows,
    row: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Loop for OutputRow<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Self { windows, row, x, y } = self;
        let Windows { channels, rows, columns, .. } = windows;
        let len = windows.input_row();
        for row in rows.inputs(row) {
            let x = &x[row * len..][..len];
            for (j, y) in y.chunks_exact_mut(channels).enumerate() {
                for x in x[values(columns.inputs(j), channels)].chunks_exact(channels) {
                    for (y, x) in y.iter_mut().zip(x) {
                        *y += x;
                    }
                }
            }
        }
        let area = area(&windows);
        for y in y {
            *y /= area;
        }
    }
}

/// What a row of an image gets from the gradient `dy` of the averages.
struct InputRow<'a> {
    windows: Windows,
    row: usize,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Loop for InputRow<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Self { windows, row, dy, dx } = self;
        let Windows { channels, rows, columns, .. } = windows;
        let len = windows.output_row();
        for output in rows.outputs(row) {
            let dy = &dy[output * len..][..len];
            for (j, d) in dy.chunks_exact(channels).enumerate() {
                let seen = &mut dx[values(columns.inputs(j), channels)];
                for dx in seen.chunks_exact_mut(channels) {
                    for (dx, d) in dx.iter_mut().zip(d) {
                        *dx += d;
                    }
                }
            }
        }
        let area = area(&windows);
        for dx in dx {
            *dx /= area;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn padding_counts_as_zeros() -> Result<()> {
        let x = Node::from(&Tensor::new(&[[[[9f32, 18.0]]]], &Device::Cpu)?);
        let pool = Pool2d { kernel: (3, 3), stride: (1, 1), padding: (1, 1) };
        assert_eq!(avg_pool2d(&x, pool)?.flatten_all()?.to_vec1::<f32>()?, [3.0, 3.0]);
        Ok(())
    }

    #[test]
    fn channels_are_averaged_apart() -> Result<()> {
        let first = [[1f32, 3.0, 5.0], [7.0, 9.0, 11.0]];
        let second = [[0.0, 8.0, 4.0], [4.0, 0.0, 4.0]];
        let x = Tensor::new(&[[first, second]], &Device::Cpu)?;
        let pool = Pool2d { kernel: (2, 2), stride: (1, 1), padding: (0, 0) };
        let y = avg_pool2d(&Node::variable(&x), pool)?;
        assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5.0, 7.0, 3.0, 4.0]);
        let dy = Tensor::new(&[[[[4f32, 8.0]], [[40.0, 80.0]]]], &Device::Cpu)?;
        let dx = y.backward(&dy)?.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?;
        let (first, second) = ([1f32, 3.0, 2.0], [10.0, 30.0, 20.0]);
        assert_eq!(dx, [first, first, second, second].concat());
        Ok(())
    }
}
