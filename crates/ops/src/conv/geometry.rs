//! Which element of the input a tap reads: strides become phases, taps become offsets.
//!
//! Along one axis, output `o` and tap `k` meet at input coordinate `o s + k d - p`. With
//! `r = (k d - p) mod s` and `q = floor((k d - p) / s)` it is element `o + q` of the
//! sub-image that starts at `r` and takes every `s`-th element: the tap reads phase `r`,
//! shifted by `q`. In a flat layout with a fixed pitch a shift is one constant offset.

use candle_core::{Result, bail};

use super::Conv2d;

/// One axis of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Phase and shift of tap `k`.
    fn tap(&self, k: usize) -> (usize, isize) {
        let first = (k * self.dilation) as isize - self.padding as isize;
        let stride = self.stride as isize;
        (first.rem_euclid(stride) as usize, first.div_euclid(stride))
    }

    /// Elements of phase `r`.
    pub(super) fn phase(&self, r: usize) -> usize {
        self.input.saturating_sub(r).div_ceil(self.stride)
    }

    /// Smallest distance between rows at which no tap of a valid output meets a
    /// neighbouring row: the zeros right of a row are those left of the next.
    fn pitch(&self) -> usize {
        (0..self.kernel).map(|k| self.tap(k)).fold(self.output, |pitch, (r, q)| {
            let left = self.phase(r) + q.min(0).unsigned_abs();
            let right = self.output + q.max(0).unsigned_abs();
            pitch.max(left).max(right)
        })
    }
}

/// One tap of the kernel: what it reads of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Index into [`Geometry::phases`].
    pub(super) phase: usize,
    /// Offset in the flat layout.
    pub(super) offset: isize,
    /// Rows by which it is shifted.
    pub(super) rows: isize,
}

/// Distances in a flat layout.
///
/// Small images lie interleaved: one pixel of all images, then the next. Vectors then run
/// over images and meet few zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pitch {
    /// From an image to the next.
    pub(super) image: usize,
    /// From a row to the next.
    pub(super) row: usize,
    /// From a pixel to the next.
    pub(super) pixel: usize,
    /// Elements of all images.
    pub(super) total: usize,
}

impl Pitch {
    fn new(batch: usize, y: Axis, x: Axis, products: usize) -> Self {
        let (height, width) = (y.pitch(), x.pitch());
        let total = batch * height * width;
        let gaps = width > x.output || height > y.output;
        if gaps && x.output < NARROW && batch >= MANY && products >= WORTHWHILE {
            Self { image: 1, row: width * batch, pixel: batch, total }
        } else {
            Self { image: height * width, row: width, pixel: 1, total }
        }
    }

    /// Whether the images are interleaved.
    pub(super) fn is_interleaved(self) -> bool {
        self.pixel > 1
    }
}

/// Results narrower than this leave much of a vector unused.
const NARROW: usize = 16;
/// Images that are worth a vector.
const MANY: usize = 8;
/// Products a result from which on reordering the images pays.
const WORTHWHILE: usize = 128;

/// Shapes of one convolution and its flat layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Input channels of a group.
    pub(super) inputs: usize,
    /// Output channels of a group.
    pub(super) outputs: usize,
    pub(super) groups: usize,
    pub(super) y: Axis,
    pub(super) x: Axis,
    /// The phases `(r_y, r_x)` that some tap reads.
    pub(super) phases: Vec<(usize, usize)>,
    /// Taps in the order of the kernel's elements.
    pub(super) taps: Vec<Tap>,
    pub(super) pitch: Pitch,
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
        let y =
            Axis::new(height, kernel_y, (conv.stride.0, conv.padding.0, conv.dilation.0))?;
        let x =
            Axis::new(width, kernel_x, (conv.stride.1, conv.padding.1, conv.dilation.1))?;

        Ok(Self::of_axes(batch, (inputs, outputs / groups, groups), y, x))
    }

    /// That of `groups` times `inputs` and `outputs` channels, along two axes.
    fn of_axes(
        batch: usize,
        (inputs, outputs, groups): (usize, usize, usize),
        y: Axis,
        x: Axis,
    ) -> Self {
        let pitch = Pitch::new(batch, y, x, inputs * y.kernel * x.kernel);
        let mut phases = Vec::new();
        let mut taps = Vec::with_capacity(y.kernel * x.kernel);
        for ky in 0..y.kernel {
            for kx in 0..x.kernel {
                let ((phase_y, shift_y), (phase_x, shift_x)) = (y.tap(ky), x.tap(kx));
                let phase = phases
                    .iter()
                    .position(|&known| known == (phase_y, phase_x))
                    .unwrap_or_else(|| {
                        phases.push((phase_y, phase_x));
                        phases.len() - 1
                    });
                let offset = shift_y * pitch.row as isize + shift_x * pitch.pixel as isize;
                taps.push(Tap { phase, offset, rows: shift_y });
            }
        }
        Self { batch, inputs, outputs, groups, y, x, phases, taps, pitch }
    }

    /// A 1 x 1 convolution of the pixels that a stride leaves, if it leaves some out.
    pub(super) fn without_stride(&self) -> Option<Self> {
        if !self.is_pointwise() || (self.y.stride, self.x.stride) == (1, 1) {
            return None;
        }
        let dense = |axis: Axis| Axis { input: axis.output, stride: 1, ..axis };
        let channels = (self.inputs, self.outputs, 1);
        Some(Self::of_axes(self.batch, channels, dense(self.y), dense(self.x)))
    }

    /// What the 2 x 2 results of a 3 x 3 kernel read: the taps of a 4 x 4 kernel of stride 2.
    pub(super) fn tiles(&self) -> Self {
        let tiles = |axis: Axis| Axis {
            output: axis.output.div_ceil(2),
            kernel: 4,
            stride: 2,
            ..axis
        };
        let channels = (self.inputs, self.outputs, 1);
        Self::of_axes(self.batch, channels, tiles(self.y), tiles(self.x))
    }

    /// [`Self::tiles`] of the convolution that makes the gradient of the input.
    pub(super) fn reversed_tiles(&self) -> Self {
        let reversed = |axis: Axis| Axis {
            input: axis.output,
            output: axis.input,
            padding: axis.kernel - 1 - axis.padding,
            ..axis
        };
        let channels = (self.outputs, self.inputs, 1);
        Self::of_axes(self.batch, channels, reversed(self.y), reversed(self.x)).tiles()
    }

    /// The same convolution of another number of images.
    pub(super) fn of_batch(&self, batch: usize) -> Self {
        Self::of_axes(batch, (self.inputs, self.outputs, self.groups), self.y, self.x)
    }

    /// Shape of the result.
    pub(super) fn result(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.groups * self.outputs, self.y.output, self.x.output)
    }

    /// Shape of the input.
    pub(super) fn input(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.groups * self.inputs, self.y.input, self.x.input)
    }

    /// Elements of one channel of one input image.
    pub(super) fn input_plane(&self) -> usize {
        self.y.input * self.x.input
    }

    /// Elements of one channel of one output image.
    pub(super) fn output_plane(&self) -> usize {
        self.y.output * self.x.output
    }

    /// Farthest that a tap reads from its position.
    pub(super) fn reach(&self) -> usize {
        self.taps.iter().map(|tap| tap.offset.unsigned_abs()).max().unwrap_or(0)
    }

    /// Whether the convolution is a matrix product at every pixel.
    pub(super) fn is_pointwise(&self) -> bool {
        let plain = |axis: Axis| axis.kernel == 1 && axis.padding == 0;
        self.groups == 1 && plain(self.y) && plain(self.x)
    }

    /// Whether each output channel reads the one input channel of the same number.
    pub(super) fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.outputs == 1
    }
}
