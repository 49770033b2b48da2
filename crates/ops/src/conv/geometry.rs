//! The sizes of a convolution.

use candle_core::{Result, bail};

use super::Conv2d;

/// One axis of a convolution: output `o` and element `k` of the kernel meet at the input
/// `o stride + k dilation - padding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Axis {
    fn new(
        input: usize,
        kernel: usize,
        (stride, padding, dilation): (usize, usize, usize),
    ) -> Result<Self> {
        if stride == 0 || dilation == 0 || kernel == 0 || input == 0 {
            bail!(
                "conv2d expects positive sizes, found input {input}, kernel {kernel}, \
                 stride {stride}, dilation {dilation}"
            );
        }
        let (padded, reach) = (input + 2 * padding, dilation * (kernel - 1) + 1);
        if reach > padded {
            bail!(
                "conv2d: the kernel reaches over {reach} elements, the padded input has {padded}"
            );
        }
        let output = (padded - reach) / stride + 1;
        Ok(Self { input, output, kernel, stride, padding, dilation })
    }

    /// Where element `k` of the kernel reads, relative to `o stride`.
    pub(super) fn tap(&self, k: usize) -> isize {
        (k * self.dilation) as isize - self.padding as isize
    }
}

/// Shapes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Input channels of a group.
    pub(super) inputs: usize,
    /// Output channels of a group.
    pub(super) outputs: usize,
    pub(super) groups: usize,
    pub(super) y: Axis,
    pub(super) x: Axis,
}

impl Geometry {
    /// Checks the shapes of input `[N, C, H, W]`, kernel `[O, C / groups, Kh, Kw]` and
    /// bias `[O]`.
    pub(super) fn new(
        x: &[usize],
        w: &[usize],
        bias: Option<&[usize]>,
        conv: Conv2d,
    ) -> Result<Self> {
        let &[batch, channels, height, width] = x else {
            bail!("conv2d expects an input [N, C, H, W], found {x:?}");
        };
        let &[outputs, inputs, kernel_y, kernel_x] = w else {
            bail!("conv2d expects weights [O, C / groups, Kh, Kw], found {w:?}");
        };
        let groups = conv.groups;
        if batch == 0 || inputs == 0 || outputs == 0 {
            bail!("conv2d expects positive sizes, found input {x:?} and weights {w:?}");
        }
        if groups == 0 || inputs * groups != channels || !outputs.is_multiple_of(groups) {
            bail!("conv2d: input {x:?} and weights {w:?} do not fit {groups} groups");
        }
        if let Some(bias) = bias
            && bias != [outputs]
        {
            bail!("conv2d expects a bias [{outputs}], found {bias:?}");
        }
        let ((sy, sx), (py, px), (dy, dx)) = (conv.stride, conv.padding, conv.dilation);
        Ok(Self {
            batch,
            inputs,
            outputs: outputs / groups,
            groups,
            y: Axis::new(height, kernel_y, (sy, py, dy))?,
            x: Axis::new(width, kernel_x, (sx, px, dx))?,
        })
    }

    /// The same convolution of another number of images.
    pub(super) fn of_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// The convolution of a gradient that gives that of the input, of one of stride 1 whose input
    /// is as large as its result.
    #[cfg(feature = "cuda")]
    pub(super) fn turned(self) -> Self {
        let turned = |axis: Axis| Axis { input: axis.output, output: axis.input, ..axis };
        Self { y: turned(self.y), x: turned(self.x), ..self }
    }

    /// Shape of the result.
    pub(super) fn result(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.groups * self.outputs, self.y.output, self.x.output)
    }

    /// Shape of the input.
    pub(super) fn input(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.groups * self.inputs, self.y.input, self.x.input)
    }

    /// Shape of the weights.
    pub(super) fn weights(&self) -> (usize, usize, usize, usize) {
        (self.groups * self.outputs, self.inputs, self.y.kernel, self.x.kernel)
    }

    /// Vertical and horizontal stride.
    pub(super) fn stride(&self) -> (usize, usize) {
        (self.y.stride, self.x.stride)
    }

    /// Elements of the kernel between one input and one output channel.
    pub(super) fn elements(&self) -> usize {
        self.y.kernel * self.x.kernel
    }

    /// Whether each output channel reads the one input channel of the same number.
    pub(super) fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.outputs == 1
    }
}
