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

/// Asks for the cache line at `at`, which will be read soon; there need not be one.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: every x86-64 has it, and it never faults.
        #[expect(unsafe_code, reason = "the instruction is reached so only")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
