//! The transforms of weights of F(2 x 2, 3 x 3), and of their gradients, many at a time.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Simd, WithSimd};

use super::{
    vectors::{LANES, load, load_some, store},
    winograd_kernel::FREQUENCIES,
};
use crate::simd::dispatch;

/// Elements of the kernel.
pub(super) const ELEMENTS: usize = 9;

/// `G w G^T` of many kernels side by side: `w [element][kernel]` to `[frequency][kernel]`,
/// `pitch` values from one element, and from one frequency, to the next.
pub(super) fn transform_weights(w: &[f32], out: &mut [f32], pitch: usize) {
    assert!(
        w.len() >= ELEMENTS * pitch && out.len() >= FREQUENCIES * pitch,
        "room for all"
    );
    dispatch(Weights { w, out, pitch });
}

struct Weights<'a> {
    w: &'a [f32],
    out: &'a mut [f32],
    pitch: usize,
}

impl WithSimd for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { w, out, pitch } = self;
        assert!(pitch.is_multiple_of(S::F32_LANES), "whole vectors");
        let half = simd.splat_f32s(0.5);
        let spread = |[a, b, c]: [S::f32s; 3]| {
            let (even, odd) =
                (simd.mul_f32s(simd.add_f32s(a, c), half), simd.mul_f32s(b, half));
            [a, simd.add_f32s(even, odd), simd.sub_f32s(even, odd), c]
        };
        for at in (0..pitch).step_by(S::F32_LANES) {
            // SAFETY: `transform_weights` has checked both ends.
            unsafe {
                let w: [S::f32s; ELEMENTS] =
                    core::array::from_fn(|k| load::<S>(w.as_ptr().add(k * pitch + at)));
                let rows: [[S::f32s; 4]; 3] = core::array::from_fn(|i| {
                    spread([w[3 * i], w[3 * i + 1], w[3 * i + 2]])
                });
                let columns: [[S::f32s; 4]; 4] =
                    core::array::from_fn(|j| spread([rows[0][j], rows[1][j], rows[2][j]]));
                for f in 0..FREQUENCIES {
                    let to = out.as_mut_ptr().add(f * pitch + at);
                    store::<S>(to, columns[f % 4][f / 4]);
                }
            }
        }
    }
}

/// `G^T m G` of some channels, `m [frequency][channel]` to `[element][channel]`, with the
/// pitches of both.
pub(super) fn transform_weights_back(
    m: &[f32],
    pitch: usize,
    channels: usize,
    out: &mut [f32],
    out_pitch: usize,
) {
    assert!(m.len() >= (FREQUENCIES - 1) * pitch + channels, "all frequencies");
    assert!(channels.next_multiple_of(LANES) <= out_pitch, "room for whole vectors");
    assert!(out.len() >= ELEMENTS * out_pitch, "room for all elements");
    dispatch(WeightsBack { m, pitch, channels, out, out_pitch });
}

struct WeightsBack<'a> {
    m: &'a [f32],
    pitch: usize,
    channels: usize,
    out: &'a mut [f32],
    out_pitch: usize,
}

impl WithSimd for WeightsBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, pitch, channels, out, out_pitch } = self;
        let half = simd.splat_f32s(0.5);
        let gather = |[a, b, c, d]: [S::f32s; 4]| {
            let even = simd.mul_f32s(simd.add_f32s(b, c), half);
            let odd = simd.mul_f32s(simd.sub_f32s(b, c), half);
            [simd.add_f32s(a, even), odd, simd.add_f32s(even, d)]
        };
        for at in (0..channels).step_by(S::F32_LANES) {
            let lanes = (channels - at).min(S::F32_LANES);
            // SAFETY: `transform_weights_back` has checked both ends.
            unsafe {
                let m: [S::f32s; FREQUENCIES] = core::array::from_fn(|f| {
                    load_some(simd, m.as_ptr().add(f * pitch + at), lanes)
                });
                let rows: [[S::f32s; 3]; 4] = core::array::from_fn(|i| {
                    gather([m[4 * i], m[4 * i + 1], m[4 * i + 2], m[4 * i + 3]])
                });
                let columns: [[S::f32s; 3]; 3] = core::array::from_fn(|j| {
                    gather([rows[0][j], rows[1][j], rows[2][j], rows[3][j]])
                });
                for k in 0..ELEMENTS {
                    let to = out.as_mut_ptr().add(k * out_pitch + at);
                    store::<S>(to, columns[k % 3][k / 3]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_one_element_has_the_transform_of_its_place() {
        // G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1]: its columns, one times another
        let columns: [[f32; 4]; 3] =
            [[1.0, 0.5, 0.5, 0.0], [0.0, 0.5, -0.5, 0.0], [0.0, 0.5, 0.5, 1.0]];
        for element in 0..9 {
            let mut w = vec![0.0; 9 * 16];
            w[element * 16 + 3] = 1.0;
            let mut out = vec![9.0; FREQUENCIES * 16];
            transform_weights(&w, &mut out, 16);
            for f in 0..FREQUENCIES {
                let expected = columns[element / 3][f / 4] * columns[element % 3][f % 4];
                assert_eq!(out[f * 16 + 3], expected, "{element} {f}");
                assert_eq!(out[f * 16 + 4], 0.0);
            }
        }
    }
}
