//! Which inputs a window covers, axis by axis.

use std::ops::Range;

use candle_core::{Result, Shape, Tensor, bail};

use super::Pool2d;

/// One axis of a pooling layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) size: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) outputs: usize,
}

impl Axis {
    fn new(size: usize, kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        if kernel == 0 || stride == 0 || padding > kernel / 2 {
            bail!(
                "pooling: expected a kernel and a stride of at least 1 and a padding of at \
                 most half the kernel, found kernel {kernel}, stride {stride}, padding {padding}"
            );
        }
        if size == 0 || size + 2 * padding < kernel {
            bail!("pooling: a kernel of {kernel} does not fit into {size} with {padding}");
        }
        let outputs = (size + 2 * padding - kernel) / stride + 1;
        Ok(Self { size, kernel, stride, padding, outputs })
    }

    /// The inputs that output `output` covers, without padding.
    pub(super) fn inputs(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        let end = (start + self.kernel).saturating_sub(self.padding).min(self.size);
        start.saturating_sub(self.padding)..end
    }

    /// The outputs whose window covers input `input`.
    pub(super) fn outputs(&self, input: usize) -> Range<usize> {
        let place = input + self.padding;
        let start = (place + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        start..(place / self.stride + 1).min(self.outputs)
    }
}

/// Both axes of a pooling layer, and how many images and channels it works on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) rows: Axis,
    pub(super) columns: Axis,
}

impl Windows {
    pub(super) fn new(x: &Tensor, pool: Pool2d) -> Result<Self> {
        let (batch, channels, height, width) = x.dims4()?;
        let rows = Axis::new(height, pool.kernel.0, pool.stride.0, pool.padding.0)?;
        let columns = Axis::new(width, pool.kernel.1, pool.stride.1, pool.padding.1)?;
        Ok(Self { batch, channels, rows, columns })
    }

    /// Values of a row of an input image.
    pub(super) fn input_row(&self) -> usize {
        self.columns.size * self.channels
    }

    /// Values of an input image.
    pub(super) fn input(&self) -> usize {
        self.rows.size * self.input_row()
    }

    /// Values of a row of an output image.
    pub(super) fn output_row(&self) -> usize {
        self.columns.outputs * self.channels
    }

    /// Values of an output image.
    pub(super) fn output(&self) -> usize {
        self.rows.outputs * self.output_row()
    }

    pub(super) fn input_shape(&self) -> Shape {
        (self.batch, self.channels, self.rows.size, self.columns.size).into()
    }

    pub(super) fn shape(&self) -> Shape {
        (self.batch, self.channels, self.rows.outputs, self.columns.outputs).into()
    }
}

/// Where the values of some pixels lie, the channels of a pixel being side by side.
pub(super) fn values(pixels: Range<usize>, channels: usize) -> Range<usize> {
    pixels.start * channels..pixels.end * channels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_views_of_the_windows_agree() -> Result<()> {
        for (size, kernel, stride, padding) in
            [(7, 3, 2, 1), (6, 2, 2, 0), (5, 3, 1, 1), (8, 2, 3, 1), (1, 3, 2, 1)]
        {
            let axis = Axis::new(size, kernel, stride, padding)?;
            let by_output: Vec<_> = (0..axis.outputs)
                .flat_map(|o| axis.inputs(o).map(move |i| (o, i)))
                .collect();
            let mut by_input: Vec<_> =
                (0..size).flat_map(|i| axis.outputs(i).map(move |o| (o, i))).collect();
            by_input.sort_unstable();
            assert_eq!(by_output, by_input, "{size} {kernel} {stride} {padding}");
        }
        Ok(())
    }

    #[test]
    fn impossible_windows_are_refused() {
        for (size, kernel, stride, padding) in
            [(2, 3, 1, 0), (9, 0, 1, 0), (9, 3, 0, 0), (9, 3, 1, 2)]
        {
            assert!(Axis::new(size, kernel, stride, padding).is_err());
        }
    }
}
