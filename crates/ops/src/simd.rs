//! The widest vectors of the machine the program runs on, and plain loops in them.

#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

/// Runs `work` compiled for AVX-512, AVX2, NEON or whatever there is.
pub(crate) fn dispatch<W: WithSimd>(work: W) -> W::Output {
    #[cfg(all(feature = "avx2", target_arch = "x86_64"))]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Arch::V3(simd).dispatch(work);
    }
    Arch::new().dispatch(work)
}

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

/// Runs the loop in the vectors of [`dispatch`].
pub(crate) fn vectorized<L: Loop>(work: L) -> L::Output {
    dispatch(Wide(work))
}

struct Wide<L>(L);

impl<L: Loop> WithSimd for Wide<L> {
    type Output = L::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> L::Output {
        self.0.run()
    }
}

/// Values of a cache line.
pub(crate) const LINE: usize = 16;

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
