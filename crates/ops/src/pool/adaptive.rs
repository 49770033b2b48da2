//! Average pooling to a given size.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::window::values;
use crate::{
    Node, map,
    node::{Operator, Way},
    simd::{Loop, vectorized},
    storage,
};

/// Average pooling to `size` (height, width), with the windows of `PyTorch`.
///
/// Output `i` of `m` averages the inputs from `floor(i n / m)` up to, not including,
/// `ceil((i + 1) n / m)` of `n`; windows overlap where `m` does not divide `n`.
///
/// # Shapes
///
/// - `x`: `[N, C, H, W]`
/// - result: `[N, C, size.0, size.1]`
///
/// # Errors
///
/// If a size is zero, that of the input or that of the result.
///
/// # Examples
///
/// ```
/// use candle_core::{Device, Tensor};
/// use ops::Node;
///
/// // windows 0..2 and 1..3
/// let x = Node::from(&Tensor::new(&[[[[1f32, 3.0, 6.0]]]], &Device::Cpu)?);
/// let y = ops::adaptive_avg_pool2d(&x, (1, 2))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2.0, 4.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn adaptive_avg_pool2d(x: &Node, size: (usize, usize)) -> Result<Node> {
    let (batch, channels, height, width) = x.dims4()?;
    if [height, width, size.0, size.1].contains(&0) {
        bail!(
            "adaptive_avg_pool2d: expected sizes above 0, found {:?}, {size:?}",
            x.shape()
        );
    }
    let input = (height, width);
    let operator = Adaptive { batch, channels, input, output: size };
    let values = x.dense()?;
    #[cfg(feature = "cuda")]
    if values.device().is_cuda() {
        let y = super::cuda::adaptive(&values, size)?;
        return Ok(Node::of(y, &[x], operator));
    }
    let y = operator.forward(&storage::read(&values)?);
    let y = storage::tensor(y, (batch, channels, size.0, size.1))?;
    Ok(Node::of(y, &[x], operator))
}

#[derive(Debug)]
struct Adaptive {
    batch: usize,
    channels: usize,
    input: (usize, usize),
    output: (usize, usize),
}

impl Adaptive {
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let Self { batch, channels, input, output } = *self;
        let (width, size) = (input.1, output.1 * channels);
        let mut y = vec![0f32; batch * output.0 * size];
        // the work is in what is read: `map::pieces` would make tasks by what is written,
        // which may be a single value of each channel of an image
        y.par_chunks_mut(size.max(1)).enumerate().for_each_init(
            || vec![0f64; channels],
            |sums, (i, y)| {
                let (image, row) = (i / output.0, i % output.0);
                let rows = window(row, input.0, output.0);
                let first = image * input.0;
                let seen = (first + rows.start) * width..(first + rows.end) * width;
                vectorized(Averages { width, x: &x[values(seen, channels)], sums, y });
            },
        );
        y
    }
}

fn window(i: usize, inputs: usize, outputs: usize) -> Range<usize> {
    i * inputs / outputs..((i + 1) * inputs).div_ceil(outputs)
}

impl Operator for Adaptive {
    fn backward(&self, dy: &Tensor, _: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let Self { channels, input, output, .. } = *self;
        #[cfg(feature = "cuda")]
        if dy.device().is_cuda() {
            return Ok(vec![Some(super::cuda::adaptive_back(dy, input)?)]);
        }
        let (size, seen) = (input.1 * channels, output.0 * output.1 * channels);
        let batch = dy.dim(0)?;
        let dy = storage::read(dy)?;
        let dx = map::pieces(batch * input.0 * size, size, |i, dx| {
            let (image, row) = (i / input.0, i % input.0);
            let dy = &dy[image * seen..][..seen];
            vectorized(Shares { channels, input, output, row, dy, dx });
        });
        Ok(vec![Some(storage::tensor(dx, (batch, channels, input.0, input.1))?)])
    }
}

/// The averages of a row of windows over `x`, some rows of an image of this width.
struct Averages<'a> {
    width: usize,
    x: &'a [f32],
    /// One for each channel, for the window at hand.
    sums: &'a mut [f64],
    y: &'a mut [f32],
}

impl Loop for Averages<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Self { width, x, sums, y } = self;
        let channels = sums.len();
        let rows = x.chunks_exact(width * channels);
        let outputs = y.len() / channels;
        for (j, y) in y.chunks_exact_mut(channels).enumerate() {
            let columns = window(j, width, outputs);
            let area = (rows.len() * columns.len()) as f64;
            sums.fill(0.0);
            for row in rows.clone() {
                for x in row[values(columns.clone(), channels)].chunks_exact(channels) {
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum += f64::from(*x);
                    }
                }
            }
            for (y, sum) in y.iter_mut().zip(&*sums) {
                *y = (sum / area) as f32;
            }
        }
    }
}

/// What a row of an image gets from the gradient `dy` of the averages: an equal share of
/// that of each window it lies in.
struct Shares<'a> {
    channels: usize,
    input: (usize, usize),
    output: (usize, usize),
    row: usize,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Loop for Shares<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Self { channels, input, output, row, dy, dx } = self;
        let size = output.1 * channels;
        // the windows that an input lies in are given by the same rule
        for i in window(row, output.0, input.0) {
            let height = window(i, input.0, output.0).len();
            let dy = &dy[i * size..][..size];
            for (j, d) in dy.chunks_exact(channels).enumerate() {
                let columns = window(j, input.1, output.1);
                let area = (height * columns.len()) as f32;
                for dx in dx[values(columns, channels)].chunks_exact_mut(channels) {
                    for (dx, d) in dx.iter_mut().zip(d) {
                        *dx += d / area;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn windows_follow_the_rule_of_pytorch() {
        let windows = |n, m| (0..m).map(|i| window(i, n, m)).collect::<Vec<_>>();
        assert_eq!(windows(7, 3), [0..3, 2..5, 4..7]);
        assert_eq!(windows(5, 7), [0..1, 0..2, 1..3, 2..3, 2..4, 3..5, 4..5]);
    }

    #[test]
    fn the_windows_of_an_input_follow_the_same_rule() {
        for (n, m) in (1..9).flat_map(|n| (1..9).map(move |m| (n, m))) {
            for input in 0..n {
                let found = (0..m).filter(|&i| window(i, n, m).contains(&input));
                assert!(found.eq(window(input, m, n)), "{input} of {n} to {m}");
            }
        }
    }

    #[test]
    fn channels_are_averaged_apart() -> Result<()> {
        let x = Tensor::new(&[[[[1f32, 3.0, 6.0]], [[10.0, 30.0, 60.0]]]], &Device::Cpu)?;
        let y = adaptive_avg_pool2d(&Node::variable(&x), (1, 2))?;
        assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2.0, 4.5, 20.0, 45.0]);
        let dy = Tensor::new(&[[[[2f32, 4.0]], [[20.0, 40.0]]]], &Device::Cpu)?;
        let dx = y.backward(&dy)?.get(&x).unwrap().flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(dx, [1.0, 3.0, 2.0, 10.0, 30.0, 20.0]);
        Ok(())
    }
}
