//! Sums of f32 values, all but the shortest in f64, in an order that does not depend on the machine.

use crate::simd::{Loop, vectorized};

/// Partial sums kept side by side, for the compiler to put into vector registers.
const LANES: usize = 16;
/// Values of a partial sum that are added in f32, which would lose digits over more.
const SHORT: usize = 8;

/// The sum of all values.
pub(crate) fn sum(x: &[f32]) -> f64 {
    tuples([x], |[v]| (v, 0.0)).0
}

/// Both components of `Σ f(a_i, b_i, …)` over arrays of one length: a few values in f32, all
/// of these sums in f64.
pub(crate) fn tuples<const N: usize>(
    arrays: [&[f32]; N],
    f: impl Fn([f32; N]) -> (f32, f32),
) -> (f64, f64) {
    vectorized(Tuples { arrays, f })
}

struct Tuples<'a, F, const N: usize> {
    arrays: [&'a [f32]; N],
    f: F,
}

impl<F: Fn([f32; N]) -> (f32, f32), const N: usize> Loop for Tuples<'_, F, N> {
    type Output = (f64, f64);

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) -> (f64, f64) {
        let (mut first, mut second) = ([0f64; LANES], [0f64; LANES]);
        let parts = self.arrays.map(<[f32]>::as_chunks::<LANES>);
        let len = parts[0].0.len();
        let chunks = parts.map(|(chunks, _)| &chunks[..len]);
        for start in (0..len).step_by(SHORT) {
            let (mut u, mut v) = ([0f32; LANES], [0f32; LANES]);
            for c in start..len.min(start + SHORT) {
                let chunks = chunks.map(|chunks| &chunks[c]);
                for i in 0..LANES {
                    let (a, b) = (self.f)(chunks.map(|chunk| chunk[i]));
                    u[i] += a;
                    v[i] += b;
                }
            }
            for i in 0..LANES {
                first[i] += f64::from(u[i]);
                second[i] += f64::from(v[i]);
            }
        }
        let rests = parts.map(|(_, rest)| rest);
        for i in 0..rests[0].len() {
            let (u, v) = (self.f)(rests.map(|rest| rest[i]));
            first[i] += f64::from(u);
            second[i] += f64::from(v);
        }
        (first.iter().sum(), second.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_any_length_is_exact() {
        for n in [0u16, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..n).map(f32::from).collect();
            let n = f64::from(n);
            assert_eq!(sum(&x), n * (n - 1.0).max(0.0) / 2.0);
        }
    }

    #[test]
    fn tuples_are_taken_from_the_same_places() {
        let x: Vec<f32> = (0u16..20).map(f32::from).collect();
        let y: Vec<f32> = x.iter().map(|v| -v).collect();
        let sums = tuples([&x, &y], |[x, y]| (x + y, x - y));
        assert_eq!(sums, (0.0, 380.0));
    }
}
