//! Scalar products of several rows with several others, in vectors.

#![expect(unsafe_code, reason = "vectors are loaded without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Simd, WithSimd};

use crate::{
    conv::vectors::load,
    simd::{dispatch, prefetch},
};

/// Rows of the left operand in a block of [`dots`].
pub(crate) const LEFT: usize = 4;
/// Rows of the right operand in a block of [`dots`].
pub(crate) const RIGHT: usize = 6;

/// `out[i][j] = sum_p left[i][p] * right[j][p]`, in an order that depends on the number of
/// elements and on the machine alone.
pub(crate) fn dots(left: [&[f32]; LEFT], right: [&[f32]; RIGHT]) -> [[f32; RIGHT]; LEFT] {
    let len = left[0].len();
    assert!(left.iter().chain(&right).all(|row| row.len() == len), "rows of one length");
    dispatch(Dots { left, right })
}

struct Dots<'a> {
    left: [&'a [f32]; LEFT],
    right: [&'a [f32]; RIGHT],
}

impl WithSimd for Dots<'_> {
    type Output = [[f32; RIGHT]; LEFT];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { left, right } = self;
        if S::REGISTER_COUNT >= 32 {
            return block(simd, left, right);
        }
        let [a, b, c, d, e, f] = right;
        let (first, second) = (block(simd, left, [a, b, c]), block(simd, left, [d, e, f]));
        core::array::from_fn(|i| {
            let ([a, b, c], [d, e, f]) = (first[i], second[i]);
            [a, b, c, d, e, f]
        })
    }
}

/// The same of as many rows as their sums fit the registers.
#[inline(always)]
fn block<S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: [&[f32]; M],
    right: [&[f32]; N],
) -> [[f32; N]; M] {
    let len = left[0].len();
    let rest = len - len % S::F32_LANES;
    let mut vectors = [[simd.splat_f32s(0.0); N]; M];
    for p in (0..rest).step_by(S::F32_LANES) {
        // SAFETY: a vector from `p` on ends before `rest`, inside all rows.
        unsafe {
            let mut a = [simd.splat_f32s(0.0); M];
            for (a, left) in a.iter_mut().zip(&left) {
                *a = load::<S>(left.as_ptr().add(p));
                // of rows that are longer, what stands behind is read next
                prefetch(left.as_ptr().wrapping_add(len + p));
            }
            for (j, right) in right.iter().enumerate() {
                let b = load::<S>(right.as_ptr().add(p));
                for i in 0..M {
                    vectors[i][j] = simd.mul_add_e_f32s(a[i], b, vectors[i][j]);
                }
            }
        }
    }
    let mut sums = [[0.0; N]; M];
    for i in 0..M {
        for j in 0..N {
            let mut last = 0.0;
            for (a, b) in left[i][rest..].iter().zip(&right[j][rest..]) {
                last += a * b;
            }
            sums[i][j] = simd.reduce_sum_f32s(vectors[i][j]) + last;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_of_vectors_are_summed_too() {
        for len in [1u16, 15, 16, 33] {
            let ones = vec![1.0; len.into()];
            let numbers: Vec<f32> = (0..len).map(f32::from).collect();
            let found = dots([&numbers; LEFT], [&ones; RIGHT]);
            let sum = f32::from(len) * f32::from(len - 1) / 2.0;
            assert_eq!(found, [[sum; RIGHT]; LEFT]);
        }
    }
}
