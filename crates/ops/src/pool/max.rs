//! Maximum pooling that remembers where each maximum was.

use candle_core::{Result, Tensor};

use super::{Pool2d, window::Windows};
use crate::{
    Node, map,
    node::{Operator, Way},
    simd::{Loop, vectorized},
    storage,
};

/// Maximum pooling; padding never wins.
///
/// ```text
/// y(i, j) = max over the window of x
/// ```
///
/// The gradient of an output goes to its maximum: the first in row-major order, if there
/// are several. As in `PyTorch`, a window with a NaN gives NaN.
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
/// let x = Node::from(&Tensor::new(&[[[[1f32, 5.0, 2.0], [4.0, 3.0, 6.0]]]], &Device::Cpu)?);
/// let pool = Pool2d { kernel: (2, 2), stride: (1, 1), padding: (0, 0) };
/// assert_eq!(ops::max_pool2d(&x, pool)?.flatten_all()?.to_vec1::<f32>()?, [5.0, 6.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn max_pool2d(x: &Node, pool: Pool2d) -> Result<Node> {
    let windows = Windows::new(x, pool)?;
    let values = x.dense()?;
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        let (y, operator) = super::cuda::max(&values, windows)?;
        return Ok(Node::of(y, &[x], operator));
    }
    let (input, outputs) = (windows.input(), windows.rows.outputs);
    let (y, maxima) = {
        let x = storage::read(&values)?;
        let len = windows.batch * windows.output();
        map::pieces_and(len, windows.output_row(), |i, y, at| {
            let (image, row) = (i / outputs, i % outputs);
            let x = &x[image * input..][..input];
            vectorized(OutputRow { windows, row, x, y, at });
        })
    };
    let y = storage::tensor(y, windows.shape())?;
    Ok(Node::of(y, &[x], MaxPool { windows, maxima }))
}

#[derive(Debug)]
struct MaxPool {
    windows: Windows,
    /// The pixel of its image that the maximum of each output is from.
    maxima: Vec<u32>,
}

impl Operator for MaxPool {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let windows = Windows { batch: dy.dim(0)?, ..self.windows };
        let (input, output) = (windows.input(), windows.output());
        let (channels, rows) = (windows.channels, way.rows());
        let dy = storage::read(dy)?;
        let dx = map::pieces(windows.batch * input, input, |i, dx| {
            let image = rows.map_or(i, |rows| rows[i] as usize);
            let maxima = self.maxima[image * output..][..output].chunks_exact(channels);
            let dy = dy[i * output..][..output].chunks_exact(channels);
            for (at, d) in maxima.zip(dy) {
                for (channel, (at, d)) in at.iter().zip(d).enumerate() {
                    dx[*at as usize * channels + channel] += d;
                }
            }
        });
        Ok(vec![Some(storage::tensor(dx, windows.input_shape())?)])
    }
}

/// The maxima of a row of windows of the image `x`, and the pixels they are from.
struct OutputRow<'a> {
    windows: Windows,
    row: usize,
    x: &'a [f32],
    y: &'a mut [f32],
    at: &'a mut [u32],
}

impl Loop for OutputRow<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Self { windows, row, x, y, at } = self;
        let Windows { channels, rows, columns, .. } = windows;
        let pieces = y.chunks_exact_mut(channels).zip(at.chunks_exact_mut(channels));
        for (j, (y, at)) in pieces.enumerate() {
            let first = rows.inputs(row).start * columns.size + columns.inputs(j).start;
            for row in rows.inputs(row) {
                for column in columns.inputs(j) {
                    let pixel = row * columns.size + column;
                    let x = &x[pixel * channels..][..channels];
                    if pixel == first {
                        y.copy_from_slice(x);
                        at.fill(pixel as u32);
                    } else {
                        raise(y, at, x, pixel as u32);
                    }
                }
            }
        }
    }
}

/// Raises each maximum that is exceeded by the value of its channel at `pixel`.
#[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
#[inline(always)]
fn raise(maxima: &mut [f32], at: &mut [u32], x: &[f32], pixel: u32) {
    for ((highest, at), x) in maxima.iter_mut().zip(at).zip(x) {
        // no branch, which would be mispredicted half the time and keep the loop narrow;
        // only the first NaN exceeds
        let nan = x.is_nan() & !highest.is_nan();
        let higher = (*x > *highest) | nan;
        *highest = if higher { *x } else { *highest };
        *at = if higher { pixel } else { *at };
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn gradient(x: &Tensor, pool: Pool2d) -> Result<Vec<f32>> {
        let y = max_pool2d(&Node::variable(x), pool)?;
        let ones = y.ones_like()?;
        y.backward(&ones)?.get(x).unwrap().flatten_all()?.to_vec1()
    }

    const HALVE: Pool2d = Pool2d { kernel: (2, 2), stride: (2, 2), padding: (0, 0) };

    #[test]
    fn the_first_of_equal_maxima_takes_the_gradient() -> Result<()> {
        let x = Tensor::new(&[[[[1f32, 7.0, 0.0], [7.0, 7.0, 0.0]]]], &Device::Cpu)?;
        assert_eq!(gradient(&x, HALVE)?, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn maxima_are_ordered_as_the_numbers() -> Result<()> {
        let low = f32::NEG_INFINITY;
        let mut x = [low, -2.0, -1.0, -1e-40, 0.0, 1e-40, 2.0, f32::INFINITY, -f32::NAN];
        let pairs = Pool2d { kernel: (1, 2), stride: (1, 1), padding: (0, 0) };
        let mut expected = [1f32; 9];
        expected[0] = 0.0;
        assert_eq!(gradient(&Tensor::new(&[[[x]]], &Device::Cpu)?, pairs)?, expected);
        x.reverse();
        expected.reverse();
        assert_eq!(gradient(&Tensor::new(&[[[x]]], &Device::Cpu)?, pairs)?, expected);
        for equal in [[-0f32, 0.0], [0.0, -0.0], [f32::NAN, -f32::NAN]] {
            let x = Tensor::new(&[[[equal]]], &Device::Cpu)?;
            assert_eq!(gradient(&x, pairs)?, [1.0, 0.0]);
        }
        Ok(())
    }

    #[test]
    fn channels_have_maxima_of_their_own() -> Result<()> {
        let first = [[1f32, 5.0, 2.0], [4.0, 3.0, 6.0]];
        let second = [[9.0, 0.0, 7.0], [0.0, 8.0, 0.0]];
        let x = Tensor::new(&[[first, second]], &Device::Cpu)?;
        let pool = Pool2d { kernel: (2, 2), stride: (1, 1), padding: (0, 0) };
        let y = max_pool2d(&Node::variable(&x), pool)?;
        assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5.0, 6.0, 9.0, 8.0]);
        let dy = Tensor::new(&[[[[1f32, 2.0]], [[3.0, 4.0]]]], &Device::Cpu)?;
        let dx = y.backward(&dy)?.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?;
        let first = [0f32, 1.0, 0.0, 0.0, 0.0, 2.0];
        let second = [3.0, 0.0, 0.0, 0.0, 4.0, 0.0];
        assert_eq!(dx, [first, second].concat());
        Ok(())
    }

    #[test]
    fn padding_never_wins() -> Result<()> {
        let x = Tensor::new(&[[[[-5f32, -4.0], [-3.0, -2.0]]]], &Device::Cpu)?;
        let pool = Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
        let y = max_pool2d(&Node::from(&x), pool)?;
        assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [-2.0]);
        assert_eq!(gradient(&x, pool)?, [0.0, 0.0, 0.0, 1.0]);
        Ok(())
    }

    #[test]
    fn a_window_with_a_number_that_is_none_gives_none() -> Result<()> {
        let x =
            Node::from(&Tensor::new(&[[[[1f32, f32::NAN], [9.0, 0.0]]]], &Device::Cpu)?);
        assert!(max_pool2d(&x, HALVE)?.flatten_all()?.to_vec1::<f32>()?[0].is_nan());
        Ok(())
    }

    #[test]
    fn a_window_of_negative_infinities_has_its_maximum_inside() -> Result<()> {
        let low = f32::NEG_INFINITY;
        let x = Tensor::new(&[[[[0f32, 0.0], [low, low], [low, low]]]], &Device::Cpu)?;
        let pool = Pool2d { kernel: (2, 2), stride: (1, 1), padding: (0, 0) };
        assert_eq!(gradient(&x, pool)?, [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        Ok(())
    }
}
