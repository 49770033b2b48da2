//! What is made of each sum of products before it is written.

#![expect(unsafe_code, reason = "results are written once, by several threads")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use super::shared::Shared;
use crate::{
    activation::Bounds,
    simd::{Loop, vectorized},
};

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

    /// The function of a sum and of what is added to it, for one channel.
    #[inline(always)]
    pub(super) fn of(&self, channel: usize) -> impl Fn(f32, f32) -> f32 + Copy + use<> {
        let scale = self.scale.map_or(1.0, |scale| scale[channel]);
        let shift = self.shift.map_or(0.0, |shift| shift[channel]);
        let bounds = self.bounds;
        move |sum, added| bounds.clip(sum * scale + shift + added)
    }

    /// Writes the results of sums of one channel to `at`, `at + step` and so on.
    ///
    /// # Safety
    ///
    /// These elements are inside `out`, and nobody else touches them.
    pub(super) unsafe fn write(
        &self,
        channel: usize,
        sums: &[f32],
        out: Shared<'_>,
        at: usize,
        step: usize,
    ) {
        let f = self.of(channel);
        if step > 1 {
            for (at, sum) in (at..).step_by(step).zip(sums) {
                let added = self.added.map_or(0.0, |added| added[at]);
                // SAFETY: as the caller promises.
                unsafe { out.write(at, f(*sum, added)) };
            }
            return;
        }
        // SAFETY: as the caller promises.
        let out = unsafe { out.slice(at, sums.len()) };
        let added = self.added.map(|added| &added[at..]);
        vectorized(Write { out, sums, added, f });
    }

    /// Whether it changes anything.
    fn is_needed(&self) -> bool {
        self.scale.is_some()
            || self.shift.is_some()
            || self.added.is_some()
            || self.bounds != Bounds::NONE
    }

    /// Applies it to sums of one channel, which lie at `at` of the result.
    pub(super) fn apply(&self, channel: usize, at: usize, sums: &mut [f32]) {
        if !self.is_needed() {
            return;
        }
        let added = self.added.map(|added| &added[at..]);
        vectorized(InPlace { sums, added, f: self.of(channel) });
    }
}

struct Write<'a, F> {
    out: &'a mut [f32],
    sums: &'a [f32],
    added: Option<&'a [f32]>,
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Loop for Write<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let pairs = self.out.iter_mut().zip(self.sums);
        match self.added {
            None => pairs.for_each(|(out, sum)| *out = (self.f)(*sum, 0.0)),
            Some(added) => {
                for ((out, sum), added) in pairs.zip(added) {
                    *out = (self.f)(*sum, *added);
                }
            }
        }
    }
}

struct InPlace<'a, F> {
    sums: &'a mut [f32],
    added: Option<&'a [f32]>,
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Loop for InPlace<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.added {
            None => self.sums.iter_mut().for_each(|sum| *sum = (self.f)(*sum, 0.0)),
            Some(added) => {
                for (sum, added) in self.sums.iter_mut().zip(added) {
                    *sum = (self.f)(*sum, *added);
                }
            }
        }
    }
}
