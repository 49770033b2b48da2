//! Average pooling.

use candle_core::{Result, Tensor};

use super::{Pool2d, window::Windows};
use crate::{
    Node, map,
    node::{Operator, Way},
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
    let y = operator.forward(&storage::read(&x.contiguous()?)?);
    Ok(Node::of(storage::tensor(y, operator.windows.shape())?, &[x], operator))
}

#[derive(Debug)]
struct AvgPool {
    windows: Windows,
}

impl AvgPool {
    fn area(&self) -> f32 {
        (self.windows.rows.kernel * self.windows.columns.kernel) as f32
    }

    /// For each output row and each place in its windows, in a fixed order: the range of
    /// outputs, and the range of inputs that they see there.
    fn visit(&self, mut f: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>)) {
        let Windows { rows, columns, .. } = self.windows;
        for output in 0..rows.outputs {
            for row in rows.inputs(output) {
                for tap in 0..columns.kernel {
                    let outputs = columns.outputs(tap);
                    if outputs.is_empty() {
                        continue;
                    }
                    let start = row * columns.size + columns.input(outputs.start, tap);
                    let shift = output * columns.outputs;
                    f(
                        outputs.start + shift..outputs.end + shift,
                        start..(row + 1) * columns.size,
                    );
                }
            }
        }
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (input, output) = (self.windows.input(), self.windows.output());
        let (stride, area) = (self.windows.columns.stride, self.area());
        map::planes(self.windows.planes() * output, output, |i, y| {
            let x = &x[i * input..][..input];
            self.visit(|outputs, inputs| {
                for (y, x) in y[outputs].iter_mut().zip(x[inputs].iter().step_by(stride)) {
                    *y += x;
                }
            });
            for y in y {
                *y /= area;
            }
        })
    }
}

impl Operator for AvgPool {
    fn backward(&self, dy: &Tensor, _: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let (input, output) = (self.windows.input(), self.windows.output());
        let (stride, area) = (self.windows.columns.stride, self.area());
        let windows = Windows { batch: dy.dim(0)?, ..self.windows };
        let dy = storage::read(dy)?;
        let dx = map::planes(windows.planes() * input, input, |i, dx| {
            let dy = &dy[i * output..][..output];
            self.visit(|outputs, inputs| {
                let dx = dx[inputs].iter_mut().step_by(stride);
                for (dx, d) in dx.zip(&dy[outputs]) {
                    *dx += d;
                }
            });
            for dx in dx {
                *dx /= area;
            }
        });
        Ok(vec![Some(storage::tensor(dx, windows.input_shape())?)])
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
}
