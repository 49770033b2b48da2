//! The three loops of depthwise convolutions, over planes that lie side by side.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

use super::kernel::{load, store};

/// Planes that lie side by side: a multiple of every machine's lanes.
pub(super) const LANES: usize = 16;

/// What sixteen planes have at one pixel.
pub(super) type Vector = [f32; LANES];

/// Which inputs belong to which outputs.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    /// Input of each tap, relative to that of the first one.
    pub(super) offsets: &'a [usize],
    /// Inputs from one row of outputs to the next, and from one output to the next.
    pub(super) pitch: (usize, usize),
    /// Outputs of a row.
    pub(super) width: usize,
}

impl Taps<'_> {
    /// Panics if one of `outputs` outputs has a tap outside of `inputs` inputs.
    fn check(&self, inputs: usize, outputs: usize) {
        let rows = outputs / self.width;
        assert_eq!(rows * self.width, outputs, "whole rows of outputs");
        let last = (rows - 1) * self.pitch.0 + (self.width - 1) * self.pitch.1;
        let reach = self.offsets.iter().copied().max().unwrap_or(0);
        assert!(last + reach < inputs, "every tap is inside the input");
    }
}

/// `y[i] = sum_t weights[t] * x[start(i) + offsets[t]]`, tap by tap.
pub(super) fn convolve(
    taps: &Taps<'_>,
    x: &[Vector],
    weights: &[Vector],
    y: &mut [Vector],
) {
    taps.check(x.len(), y.len());
    assert_eq!(weights.len(), taps.offsets.len(), "a weight each tap");
    Arch::new().dispatch(Convolve { taps, x, weights, y });
}

/// `dx[start(i) + offsets[t]] += weights[t] * dy[i]`.
pub(super) fn spread(
    taps: &Taps<'_>,
    dy: &[Vector],
    weights: &[Vector],
    dx: &mut [Vector],
) {
    taps.check(dx.len(), dy.len());
    assert_eq!(weights.len(), taps.offsets.len(), "a weight each tap");
    Arch::new().dispatch(Spread { taps, dy, weights, dx });
}

/// `sums[t] += sum_i dy[i] * x[start(i) + offsets[t]]`: a row in f32, the rows in f64.
pub(super) fn add_products(
    taps: &Taps<'_>,
    x: &[Vector],
    dy: &[Vector],
    sums: &mut [[f64; LANES]],
) {
    taps.check(x.len(), dy.len());
    assert_eq!(sums.len(), taps.offsets.len(), "a sum each tap");
    Arch::new().dispatch(AddProducts { taps, x, dy, sums });
}

struct Convolve<'a> {
    taps: &'a Taps<'a>,
    x: &'a [Vector],
    weights: &'a [Vector],
    y: &'a mut [Vector],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { taps, x, weights, y } = self;
        for (row, y) in y.chunks_exact_mut(taps.width).enumerate() {
            for (i, y) in y.iter_mut().enumerate() {
                let first = row * taps.pitch.0 + i * taps.pitch.1;
                for lane in (0..LANES).step_by(S::F32_LANES) {
                    let mut sum = simd.splat_f32s(0.0);
                    for (w, offset) in weights.iter().zip(taps.offsets) {
                        // SAFETY: `convolve` has checked the taps; LANES is a multiple of
                        // the machine's.
                        unsafe {
                            let x = x.as_ptr().add(first + offset).cast::<f32>();
                            let w = load::<S>(w.as_ptr().add(lane));
                            sum = simd.mul_add_e_f32s(w, load::<S>(x.add(lane)), sum);
                        }
                    }
                    // SAFETY: LANES is a multiple of the machine's.
                    unsafe { store::<S>(y.as_mut_ptr().add(lane), sum) };
                }
            }
        }
    }
}

struct Spread<'a> {
    taps: &'a Taps<'a>,
    dy: &'a [Vector],
    weights: &'a [Vector],
    dx: &'a mut [Vector],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { taps, dy, weights, dx } = self;
        let dx = dx.as_mut_ptr();
        for (row, dy) in dy.chunks_exact(taps.width).enumerate() {
            for (w, offset) in weights.iter().zip(taps.offsets) {
                for lane in (0..LANES).step_by(S::F32_LANES) {
                    // SAFETY: `spread` has checked the taps; LANES is a multiple of the
                    // machine's.
                    unsafe {
                        let w = load::<S>(w.as_ptr().add(lane));
                        for (i, dy) in dy.iter().enumerate() {
                            let at = row * taps.pitch.0 + i * taps.pitch.1 + offset;
                            let to = dx.add(at).cast::<f32>().add(lane);
                            let dy = load::<S>(dy.as_ptr().add(lane));
                            store::<S>(to, simd.mul_add_e_f32s(w, dy, load::<S>(to)));
                        }
                    }
                }
            }
        }
    }
}

struct AddProducts<'a> {
    taps: &'a Taps<'a>,
    x: &'a [Vector],
    dy: &'a [Vector],
    sums: &'a mut [[f64; LANES]],
}

impl WithSimd for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { taps, x, dy, sums } = self;
        for (row, dy) in dy.chunks_exact(taps.width).enumerate() {
            for (total, offset) in sums.iter_mut().zip(taps.offsets) {
                let mut of_row = [0.0; LANES];
                for lane in (0..LANES).step_by(S::F32_LANES) {
                    let mut sum = simd.splat_f32s(0.0);
                    // SAFETY: `add_products` has checked the taps; LANES is a multiple of
                    // the machine's.
                    unsafe {
                        for (i, dy) in dy.iter().enumerate() {
                            let at = row * taps.pitch.0 + i * taps.pitch.1 + offset;
                            let x = x.as_ptr().add(at).cast::<f32>().add(lane);
                            let dy = load::<S>(dy.as_ptr().add(lane));
                            sum = simd.mul_add_e_f32s(dy, load::<S>(x), sum);
                        }
                        store::<S>(of_row.as_mut_ptr().add(lane), sum);
                    }
                }
                for (total, of_row) in total.iter_mut().zip(of_row) {
                    *total += f64::from(of_row);
                }
            }
        }
    }
}
