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
    let values = x.contiguous()?;
    let (input, output) = (windows.input(), windows.output());
    let (y, maxima) = {
        let x = storage::read(&values)?;
        map::planes_and(windows.planes() * output, output, |i, y, at| {
            vectorized(Plane { windows, x: &x[i * input..][..input], y, at });
        })
    };
    let y = storage::tensor(y, windows.shape())?;
    Ok(Node::of(y, &[x], MaxPool { windows, maxima }))
}

#[derive(Debug)]
struct MaxPool {
    windows: Windows,
    /// Where in its plane the maximum of each output lies.
    maxima: Vec<u32>,
}

impl Operator for MaxPool {
    fn backward(&self, dy: &Tensor, way: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let windows = Windows { batch: dy.dim(0)?, ..self.windows };
        let (input, output) = (windows.input(), windows.output());
        let rows = way.rows();
        let dy = storage::read(dy)?;
        let dx = map::planes(windows.planes() * input, input, |i, dx| {
            let (row, channel) = (i / windows.channels, i % windows.channels);
            let row = rows.map_or(row, |rows| rows[row] as usize);
            let maxima = &self.maxima[(row * windows.channels + channel) * output..];
            for (at, d) in maxima.iter().zip(&dy[i * output..][..output]) {
                dx[*at as usize] += d;
            }
        });
        Ok(vec![Some(storage::tensor(dx, windows.input_shape())?)])
    }
}

/// Each row of windows in two steps: the maximum of each column, which runs along the
/// rows of the image, then the maximum of the columns of each window.
struct Plane<'a> {
    windows: Windows,
    x: &'a [f32],
    y: &'a mut [f32],
    at: &'a mut [u32],
}

impl Loop for Plane<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Windows { rows, columns, .. } = self.windows;
        let width = columns.size;
        let mut highest = vec![0; width];
        let lines = self.at.chunks_mut(columns.outputs);
        let pieces = self.y.chunks_mut(columns.outputs).zip(lines);
        for (output, (y, at)) in pieces.enumerate() {
            highest.fill(0);
            for row in rows.inputs(output) {
                let start = row * width;
                let pairs = highest.iter_mut().zip(&self.x[start..][..width]);
                for (i, (highest, x)) in pairs.enumerate() {
                    *highest = key(*x, (start + i) as u32).max(*highest);
                }
            }
            for (j, (y, at)) in y.iter_mut().zip(at).enumerate() {
                let window = &highest[columns.inputs(j)];
                *at = place(window.iter().fold(0, |highest, key| highest.max(*key)));
                *y = self.x[*at as usize];
            }
        }
    }
}

/// A number above 0 that grows with `x`, NaN being the highest; of equal `x`, the one at
/// the first place has the greatest. Comparing such numbers takes no branch, which would
/// be mispredicted half the time.
#[inline]
fn key(x: f32, place: u32) -> u64 {
    // 0 for -0, which is its equal
    let bits = (x + 0.0).to_bits();
    // the bits of a float are its order, but for the sign
    let negative = (bits.cast_signed() >> 31).cast_unsigned();
    let order = if x.is_nan() { u32::MAX } else { bits ^ (negative | 1 << 31) };
    u64::from(order) << 32 | u64::from(!place)
}

fn place(key: u64) -> u32 {
    !(key as u32)
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
    fn keys_are_ordered_as_the_numbers() {
        let low = f32::NEG_INFINITY;
        let x = [low, -2.0, -1.0, -1e-40, 0.0, 1e-40, 1.0, 2.0, f32::INFINITY, -f32::NAN];
        assert!(x.windows(2).all(|x| key(x[0], 0) < key(x[1], 1)));
        assert_eq!(key(-0.0, 5), key(0.0, 5));
        assert!(key(1.0, 5) > key(1.0, 6) && place(key(1.0, 5)) == 5);
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
