//! What is made of each sum of products before it is written.

#![expect(unsafe_code, reason = "vectors are loaded without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use core::ptr;

use pulp::Simd;

use super::vectors::load_some;
use crate::{activation::Bounds, simd::prefetch};

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
    /// 0 in place of the result where these, in its shape, are at a bound or outside.
    pub(super) clipped: Option<(&'a [f32], Bounds)>,
}

impl Epilogue<'_> {
    /// The sums as they are.
    pub(super) const NONE: Self =
        Self { scale: None, shift: None, added: None, bounds: Bounds::NONE, clipped: None };

    /// Whether the sums are left as they are.
    pub(super) fn is_nothing(&self) -> bool {
        self.scale.is_none()
            && self.shift.is_none()
            && self.added.is_none()
            && self.bounds == Bounds::NONE
            && self.clipped.is_none()
    }

    /// The same, with its arrays checked to be those of a result of `len`: what is written
    /// inside of the result can then be read inside of them.
    pub(super) fn of_result(self, len: usize) -> Self {
        for values in [self.added, self.clipped.map(|(y, _)| y)].into_iter().flatten() {
            assert_eq!(values.len(), len, "in the shape of the result");
        }
        self
    }

    /// That of the first `lanes` channels from `channel` on.
    #[inline(always)]
    pub(super) fn of_channels<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> Channels<S> {
        let load = |values: Option<&[f32]>, nothing: f32| match values {
            None => simd.splat_f32s(nothing),
            Some(values) => {
                let values = &values[channel..channel + lanes];
                // SAFETY: it has `lanes` values.
                unsafe { load_some(simd, values.as_ptr(), lanes) }
            }
        };
        let pointer = |values: Option<&[f32]>| values.map_or(ptr::null(), <[f32]>::as_ptr);
        let (y, passing) = match self.clipped {
            None => (None, Bounds::NONE),
            Some((y, bounds)) => (Some(y), bounds),
        };
        Channels {
            scale: load(self.scale, 1.0),
            // which leaves even a negative zero as it is
            shift: load(self.shift, -0.0),
            bounds: self.bounds,
            added: pointer(self.added),
            y: pointer(y),
            passing,
            lanes,
        }
    }

    /// Asks for what [`Channels::of`] will read at `place`.
    #[inline(always)]
    pub(super) fn prefetch(&self, place: usize) {
        for values in [self.added, self.clipped.map(|(y, _)| y)].into_iter().flatten() {
            prefetch(values.as_ptr().wrapping_add(place));
        }
    }
}

/// What is made of the sums of some channels, as [`Epilogue`] says.
pub(super) struct Channels<S: Simd> {
    scale: S::f32s,
    shift: S::f32s,
    bounds: Bounds,
    /// Null where there is none.
    added: *const f32,
    y: *const f32,
    passing: Bounds,
    lanes: usize,
}

impl<S: Simd> Channels<S> {
    /// What is made of the sums whose results lie from `place` on.
    ///
    /// # Safety
    ///
    /// The epilogue has been through [`Epilogue::of_result`], and the result has as many values
    /// from there on as there are channels.
    #[inline(always)]
    pub(super) unsafe fn of(&self, simd: S, sum: S::f32s, place: usize) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        // SAFETY: the arrays have the results' shape, as `of_result` has checked.
        let load =
            |values: *const f32| unsafe { load_some(simd, values.add(place), self.lanes) };
        let mut sum = simd.add_f32s(simd.mul_f32s(sum, self.scale), self.shift);
        if !self.added.is_null() {
            sum = simd.add_f32s(sum, load(self.added));
        }
        // comparisons that are false let NaN pass, as in `Bounds::clip` and `Bounds::pass`
        if self.bounds != Bounds::NONE {
            let (low, high) = self.bounds.splat(simd);
            sum = simd.select_f32s(simd.less_than_or_equal_f32s(sum, low), low, sum);
            sum = simd.select_f32s(simd.greater_than_or_equal_f32s(sum, high), high, sum);
        }
        if !self.y.is_null() {
            let y = load(self.y);
            // an infinite bound cuts nothing: no comparison with NaN is true
            let cutting = |bound: f32| if bound.is_finite() { bound } else { f32::NAN };
            let low = simd.splat_f32s(cutting(self.passing.low));
            let high = simd.splat_f32s(cutting(self.passing.high));
            sum = simd.select_f32s(simd.less_than_or_equal_f32s(y, low), zero, sum);
            sum = simd.select_f32s(simd.greater_than_or_equal_f32s(y, high), zero, sum);
        }
        sum
    }
}

impl Bounds {
    #[inline(always)]
    fn splat<S: Simd>(self, simd: S) -> (S::f32s, S::f32s) {
        (simd.splat_f32s(self.low), simd.splat_f32s(self.high))
    }
}
