//! Pooling over windows of an image.

mod adaptive;
mod average;
#[cfg(feature = "cuda")]
mod cuda;
mod max;
mod window;

pub use adaptive::adaptive_avg_pool2d;
pub use average::avg_pool2d;
pub use max::max_pool2d;

/// The windows of a pooling layer, each pair being (height, width).
///
/// Output `i` of an axis covers the inputs `i stride - padding` and the `kernel - 1`
/// after it; there are `floor((size + 2 padding - kernel) / stride) + 1` outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// Size of a window.
    pub kernel: (usize, usize),
    /// Distance between windows.
    pub stride: (usize, usize),
    /// Rows and columns added on each side, at most half a window.
    pub padding: (usize, usize),
}
