//! Average pooling to a given size.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use crate::{
    Node, map,
    node::{Operator, Way},
    storage, sums,
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
    let operator = Adaptive { planes: (batch, channels), input, output: size };
    let y = operator.forward(&storage::read(&x.contiguous()?)?);
    let y = storage::tensor(y, (batch, channels, size.0, size.1))?;
    Ok(Node::of(y, &[x], operator))
}

#[derive(Debug)]
struct Adaptive {
    planes: (usize, usize),
    input: (usize, usize),
    output: (usize, usize),
}

impl Adaptive {
    /// The windows in row-major order.
    fn windows(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (input, output) = (self.input, self.output);
        (0..output.0).flat_map(move |i| {
            let columns = move |j| window(j, input.1, output.1);
            (0..output.1).map(move |j| (window(i, input.0, output.0), columns(j)))
        })
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (height, width) = self.input;
        let (input, output) = (height * width, self.output.0 * self.output.1);
        let (batch, channels) = self.planes;
        map::planes(batch * channels * output, output, |i, y| {
            let x = &x[i * input..][..input];
            for (y, (rows, columns)) in y.iter_mut().zip(self.windows()) {
                let area = rows.len() * columns.len();
                let sum = if area == input {
                    sums::sum(x)
                } else {
                    let row = |r: usize| &x[r * width..][columns.clone()];
                    rows.map(|r| sums::sum(row(r))).sum()
                };
                *y = (sum / area as f64) as f32;
            }
        })
    }
}

fn window(i: usize, inputs: usize, outputs: usize) -> Range<usize> {
    i * inputs / outputs..((i + 1) * inputs).div_ceil(outputs)
}

impl Operator for Adaptive {
    fn backward(&self, dy: &Tensor, _: &Way<'_>) -> Result<Vec<Option<Tensor>>> {
        let (height, width) = self.input;
        let (input, output) = (height * width, self.output.0 * self.output.1);
        let (batch, channels) = (dy.dim(0)?, self.planes.1);
        let dy = storage::read(dy)?;
        let dx = map::planes(batch * channels * input, input, |i, dx| {
            let dy = &dy[i * output..][..output];
            for (d, (rows, columns)) in dy.iter().zip(self.windows()) {
                let share = d / (rows.len() * columns.len()) as f32;
                for row in rows {
                    for dx in &mut dx[row * width..][columns.clone()] {
                        *dx += share;
                    }
                }
            }
        });
        Ok(vec![Some(storage::tensor(dx, (batch, channels, height, width))?)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_the_rule_of_pytorch() {
        let windows = |n, m| (0..m).map(|i| window(i, n, m)).collect::<Vec<_>>();
        assert_eq!(windows(7, 3), [0..3, 2..5, 4..7]);
        assert_eq!(windows(5, 7), [0..1, 0..2, 1..3, 2..3, 2..4, 3..5, 4..5]);
    }
}
