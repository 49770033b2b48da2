//! Sums of f32 values in f64, in an order that does not depend on the machine.

/// Partial sums kept side by side, for the compiler to put into vector registers.
const LANES: usize = 16;

/// The sum of all values.
#[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f64 {
    pairs(x, x, |v, _| (v, 0.0)).0
}

/// Both components of `Σ f(a_i, b_i)`.
#[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
#[inline(always)]
pub(crate) fn pairs(
    a: &[f32],
    b: &[f32],
    f: impl Fn(f64, f64) -> (f64, f64),
) -> (f64, f64) {
    let (mut first, mut second) = ([0f64; LANES], [0f64; LANES]);
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            let (u, v) = f(f64::from(a[i]), f64::from(b[i]));
            first[i] += u;
            second[i] += v;
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        let (u, v) = f(f64::from(*a), f64::from(*b));
        first[i] += u;
        second[i] += v;
    }
    (first.iter().sum(), second.iter().sum())
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
}
