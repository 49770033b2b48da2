//! Plain loops in the widest vectors of the machine the program runs on.

#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

/// A loop over plain slices.
///
/// [`Loop::run`] must be marked `#[inline(always)]`, and so must what it calls: a closure or
/// a function that happens not to be inlined stays narrow.
pub(crate) trait Loop {
    /// What it gives.
    type Output;

    /// The loop itself.
    fn run(self) -> Self::Output;
}

/// Runs the loop compiled for AVX-512, AVX2, NEON or whatever there is.
pub(crate) fn vectorized<L: Loop>(work: L) -> L::Output {
    Arch::new().dispatch(Wide(work))
}

struct Wide<L>(L);

impl<L: Loop> WithSimd for Wide<L> {
    type Output = L::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> L::Output {
        self.0.run()
    }
}
