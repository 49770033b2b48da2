//! Vectors from and to memory.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::Simd;

/// Most values of a vector on any machine.
pub(super) const LANES: usize = 16;

/// The first `lanes` of a vector, and zeros.
#[inline(always)]
pub(super) unsafe fn load_some<S: Simd>(
    simd: S,
    from: *const f32,
    lanes: usize,
) -> S::f32s {
    // SAFETY: the caller has `lanes` initialised elements at `from`.
    unsafe {
        if lanes == S::F32_LANES {
            return load::<S>(from);
        }
        simd.partial_load_f32s(core::slice::from_raw_parts(from, lanes))
    }
}

/// Writes the first `lanes` of a vector.
#[inline(always)]
pub(super) unsafe fn store_some<S: Simd>(to: *mut f32, value: S::f32s, lanes: usize) {
    // SAFETY: the caller has room for `lanes` elements at `to`.
    unsafe {
        if lanes == S::F32_LANES {
            store::<S>(to, value);
        } else {
            // not as a slice: what is there may never have been written
            let mut values = [0f32; LANES];
            store::<S>(values.as_mut_ptr(), value);
            to.copy_from_nonoverlapping(values.as_ptr(), lanes);
        }
    }
}

#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller has F32_LANES elements at `from`; f32s is plain data.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

#[inline(always)]
pub(super) unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: the caller has room for F32_LANES elements at `to`.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}
