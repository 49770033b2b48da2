//! Scalar products of several rows with several others, in vectors.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

use crate::conv::kernel::load;

/// Rows of the left operand in a block of [`dots`].
pub(crate) const LEFT: usize = 4;
/// Rows of the right operand in a block of [`dots`].
pub(crate) const RIGHT: usize = 6;

/// What a scalar product runs over: `count` stretches of `len` elements, the beginnings of
/// two neighbours `pitch` elements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretches {
    pub(crate) count: usize,
    pub(crate) pitch: usize,
    pub(crate) len: usize,
}

/// Scalar products of `LEFT` rows with `RIGHT` rows:
/// `out[i][j] = sum over the elements p of left[i][p] * right[j][p]`.
///
/// The order of the sum depends on the stretches alone.
///
/// # Safety
///
/// All rows have these elements, initialised.
pub(crate) unsafe fn dots(
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    over: Stretches,
) -> [[f32; RIGHT]; LEFT] {
    Arch::new().dispatch(Dots { left, right, over })
}

struct Dots {
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    over: Stretches,
}

impl WithSimd for Dots {
    type Output = [[f32; RIGHT]; LEFT];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { left, right, over } = self;
        // SAFETY: the caller of `dots` promises the elements.
        unsafe {
            if S::REGISTER_COUNT >= 32 {
                return dots_block(simd, left, right, over);
            }
            let first = dots_block(simd, left, [right[0], right[1], right[2]], over);
            let second = dots_block(simd, left, [right[3], right[4], right[5]], over);
            core::array::from_fn(|i| {
                let ([a, b, c], [d, e, f]) = (first[i], second[i]);
                [a, b, c, d, e, f]
            })
        }
    }
}

#[inline(always)]
unsafe fn dots_block<S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: [*const f32; M],
    right: [*const f32; N],
    over: Stretches,
) -> [[f32; N]; M] {
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    let rest = over.len % S::F32_LANES;
    let whole = over.len - rest;
    for stretch in 0..over.count {
        let mut p = stretch * over.pitch;
        let end = p + whole;
        while p < end {
            // SAFETY: these F32_LANES elements belong to the stretch, in every row.
            unsafe {
                let mut a = [simd.splat_f32s(0.0); M];
                for (a, left) in a.iter_mut().zip(left) {
                    *a = load::<S>(left.add(p));
                }
                for j in 0..N {
                    let b = load::<S>(right[j].add(p));
                    for i in 0..M {
                        sums[i][j] = simd.mul_add_e_f32s(a[i], b, sums[i][j]);
                    }
                }
            }
            p += S::F32_LANES;
        }
    }
    let mut out = [[0.0; N]; M];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = simd.reduce_sum_f32s(sum);
        }
    }
    if rest > 0 {
        for (out, left) in out.iter_mut().zip(left) {
            for (out, right) in out.iter_mut().zip(right) {
                // SAFETY: the rests belong to the stretches, in every row.
                *out += unsafe { rests(left, right, over, rest) };
            }
        }
    }
    out
}

/// The products of the last `rest` elements of each stretch.
#[inline(never)]
unsafe fn rests(left: *const f32, right: *const f32, over: Stretches, rest: usize) -> f32 {
    let mut sum = 0.0;
    for stretch in 0..over.count {
        let end = stretch * over.pitch + over.len;
        for p in end - rest..end {
            // SAFETY: the caller has this element in both rows.
            sum += unsafe { *left.add(p) * *right.add(p) };
        }
    }
    sum
}
