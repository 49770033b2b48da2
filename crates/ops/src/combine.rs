//! Rows that take multiples of other rows, in vectors.

#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Simd, WithSimd};

use crate::simd::{dispatch, prefetch};

/// Rows that are taken together.
pub(crate) const TAKEN: usize = 4;
/// Rows that take together.
pub(crate) const TAKING: usize = 2;

/// `sums[n] += sum_k factors[n][k] * rows[k]`, in that order.
///
/// The values that stand `ahead` behind those of the rows will be read next.
pub(crate) fn combine(
    sums: (&mut [f32], &mut [f32]),
    factors: [[f32; TAKEN]; TAKING],
    rows: [&[f32]; TAKEN],
    ahead: usize,
) {
    let len = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == len), "rows of one length");
    assert!(sums.0.len() == len && sums.1.len() == len, "and as long sums");
    dispatch(Combine { sums, factors, rows, ahead });
}

struct Combine<'a> {
    sums: (&'a mut [f32], &'a mut [f32]),
    factors: [[f32; TAKEN]; TAKING],
    rows: [&'a [f32]; TAKEN],
    ahead: usize,
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sums: (u, v), factors, rows: [a, b, c, d], ahead } = self;
        let [f, g] = factors;
        let (f0, f1) = (simd.splat_f32s(f[0]), simd.splat_f32s(f[1]));
        let (f2, f3) = (simd.splat_f32s(f[2]), simd.splat_f32s(f[3]));
        let (g0, g1) = (simd.splat_f32s(g[0]), simd.splat_f32s(g[1]));
        let (g2, g3) = (simd.splat_f32s(g[2]), simd.splat_f32s(g[3]));
        let (us, u) = S::as_mut_simd_f32s(u);
        let (vs, v) = S::as_mut_simd_f32s(v);
        let ((a_s, a), (b_s, b)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
        let ((c_s, c), (d_s, d)) = (S::as_simd_f32s(c), S::as_simd_f32s(d));
        let all = us.iter_mut().zip(vs).zip(a_s).zip(b_s).zip(c_s).zip(d_s);
        for (((((u, v), a), b), c), d) in all {
            for row in [a, b, c, d] {
                prefetch(core::ptr::from_ref(row).cast::<f32>().wrapping_add(ahead));
            }
            // sums of their own: those behind the references would be stored at every step
            let (mut p, mut q) = (*u, *v);
            p = simd.mul_add_e_f32s(f0, *a, p);
            q = simd.mul_add_e_f32s(g0, *a, q);
            p = simd.mul_add_e_f32s(f1, *b, p);
            q = simd.mul_add_e_f32s(g1, *b, q);
            p = simd.mul_add_e_f32s(f2, *c, p);
            q = simd.mul_add_e_f32s(g2, *c, q);
            p = simd.mul_add_e_f32s(f3, *d, p);
            q = simd.mul_add_e_f32s(g3, *d, q);
            (*u, *v) = (p, q);
        }
        for i in 0..u.len() {
            let values = [a[i], b[i], c[i], d[i]];
            for k in 0..TAKEN {
                u[i] += f[k] * values[k];
                v[i] += g[k] * values[k];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_takes_its_multiples() {
        for len in [0usize, 1, 15, 16, 37] {
            let row = |first: usize| (first..first + len).map(|i| i as f32).collect();
            let rows: [Vec<f32>; TAKEN] = [row(0), row(1), row(2), row(3)];
            let (mut u, mut v) = (vec![1f32; len], vec![2f32; len]);
            let factors = [[1.0, 10.0, 100.0, 1000.0], [1.0, 0.0, 0.0, -1.0]];
            combine((&mut u, &mut v), factors, rows.each_ref().map(Vec::as_slice), 0);
            for i in 0..len {
                let i = i as f32;
                assert_eq!(u[i as usize], 1.0 + 1111.0 * i + 3210.0);
                assert_eq!(v[i as usize], 2.0 - 3.0);
            }
        }
    }
}
