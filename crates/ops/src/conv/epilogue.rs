//! What is made of each sum of products before it is written.

#![expect(unsafe_code, reason = "vectors are loaded without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::Simd;

use super::vectors::load_some;
use crate::activation::Bounds;

/// `clip(sum * scale[channel] + shift[channel] + added)`, rounded after each step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epilogue<'a> {
    /// 1 where there is none.
    pub(super) scale: Option<&'a [f32]>,
    /// 0 where there is none.
    pub(super) shift: Option<&'a [f32]>,
    /// In the shape of the result.
    pub(super) added: Option<&'a [f32]>,
    pub(super) bounds: Bounds,
}

impl Epilogue<'_> {
    /// The sums as they are.
    pub(super) const NONE: Self =
        Self { scale: None, shift: None, added: None, bounds: Bounds::NONE };

    /// What is made of the first `lanes` of some sums: those of the channels from `channel` on,
    /// which lie from `place` on.
    #[inline(always)]
    pub(super) fn of<S: Simd>(
        &self,
        simd: S,
        mut sum: S::f32s,
        channel: usize,
        place: usize,
        lanes: usize,
    ) -> S::f32s {
        let load = |values: &[f32], at: usize| {
            let values = &values[at..at + lanes];
            // SAFETY: it has `lanes` values.
            unsafe { load_some(simd, values.as_ptr(), lanes) }
        };
        if let Some(scale) = self.scale {
            sum = simd.mul_f32s(sum, load(scale, channel));
        }
        if let Some(shift) = self.shift {
            sum = simd.add_f32s(sum, load(shift, channel));
        }
        if let Some(added) = self.added {
            sum = simd.add_f32s(sum, load(added, place));
        }
        if self.bounds == Bounds::NONE {
            return sum;
        }
        // comparisons that are false let NaN pass, as in `Bounds::clip`
        let low = simd.splat_f32s(self.bounds.low);
        let high = simd.splat_f32s(self.bounds.high);
        let sum = simd.select_f32s(simd.less_than_or_equal_f32s(sum, low), low, sum);
        simd.select_f32s(simd.greater_than_or_equal_f32s(sum, high), high, sum)
    }
}
