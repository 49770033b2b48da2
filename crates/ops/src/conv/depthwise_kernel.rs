//! The loop of depthwise convolutions, in vectors of channels.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Simd, WithSimd};

use super::{
    epilogue::Epilogue,
    vectors::{load_some, store_some},
};
use crate::simd::dispatch;

/// Positions that share a vector of weights.
const SHARED: usize = 4;

/// Neighbouring positions that read the same taps.
pub(super) struct Group<'a> {
    /// Where the channels of each tap begin in `x`, for the first position, and in `weights`.
    pub(super) taps: &'a [(usize, usize)],
    pub(super) x: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) channels: usize,
    /// Values of `x` from a position to the next.
    pub(super) step: usize,
    /// Where the first result begins, and the distance to the next.
    pub(super) place: usize,
    pub(super) place_step: usize,
    /// Positions.
    pub(super) count: usize,
    pub(super) epilogue: Epilogue<'a>,
}

/// Taps of a kernel that is 3 wide, row by row.
type Triples<'a> = Option<&'a [[(usize, usize); 3]]>;

impl Group<'_> {
    /// The taps as rows of a kernel that is 3 wide, if each is a position's step from the one
    /// before.
    #[inline(always)]
    fn triples(&self) -> Triples<'_> {
        let (triples, rest) = self.taps.as_chunks();
        let are_neighbours = |[a, b, c]: &[(usize, usize); 3]| {
            [a.0 + self.step, b.0 + self.step] == [b.0, c.0]
        };
        (rest.is_empty() && triples.iter().all(are_neighbours)).then_some(triples)
    }
}

/// `out[place + i place_step + c] = epilogue(sum_t weights[t][c] * x[t + i step + c])`.
///
/// # Safety
///
/// `out` has room for these results, and nobody else touches them. The epilogue is one of
/// `Epilogue::of_result`, of that result.
pub(super) unsafe fn convolve(group: &Group<'_>, out: *mut f32) {
    let last = (group.count - 1) * group.step + group.channels;
    for &(x, weights) in group.taps {
        assert!(x + last <= group.x.len(), "every tap is inside the input");
        assert!(weights + group.channels <= group.weights.len(), "and has weights");
    }
    dispatch(Convolve { group, out });
}

struct Convolve<'a> {
    group: &'a Group<'a>,
    out: *mut f32,
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { group, out } = self;
        let triples = group.triples();
        let mut done = 0;
        // SAFETY: `convolve` has checked the taps of all positions, and its caller promises
        // the room.
        unsafe {
            while done + SHARED <= group.count {
                convolve_some::<S, SHARED>(simd, (group, triples), done, out);
                done += SHARED;
            }
            while done < group.count {
                convolve_some::<S, 1>(simd, (group, triples), done, out);
                done += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn convolve_some<S: Simd, const N: usize>(
    simd: S,
    (group, triples): (&Group<'_>, Triples<'_>),
    first: usize,
    out: *mut f32,
) {
    let rest = group.channels % S::F32_LANES;
    let whole = group.channels - rest;
    // SAFETY: as the caller promises, of channels that there are.
    unsafe {
        for channel in (0..whole).step_by(S::F32_LANES) {
            convolve_vector::<S, N>(
                simd,
                (group, triples),
                (first, channel),
                S::F32_LANES,
                out,
            );
        }
        if rest > 0 {
            convolve_vector::<S, N>(simd, (group, triples), (first, whole), rest, out);
        }
    }
}

/// The `lanes` channels from `channel` on.
#[inline(always)]
unsafe fn convolve_vector<S: Simd, const N: usize>(
    simd: S,
    (group, triples): (&Group<'_>, Triples<'_>),
    (first, channel): (usize, usize),
    lanes: usize,
    out: *mut f32,
) {
    // SAFETY: as the caller promises.
    let sums: [S::f32s; N] = unsafe {
        match triples {
            Some(triples) => sum_triples(simd, group, triples, (first, channel), lanes),
            None => sum_taps(simd, group, (first, channel), lanes),
        }
    };
    let end = group.epilogue.of_channels(simd, channel, lanes);
    for (i, sum) in sums.into_iter().enumerate() {
        let place = group.place + (first + i) * group.place_step + channel;
        // for the next positions
        group.epilogue.prefetch(place + N * group.place_step);
        // SAFETY: the caller promises the room, and so results.
        unsafe { store_some::<S>(out.add(place), end.of(simd, sum, place), lanes) };
    }
}

/// The sums of all taps.
#[inline(always)]
unsafe fn sum_taps<S: Simd, const N: usize>(
    simd: S,
    group: &Group<'_>,
    (first, channel): (usize, usize),
    lanes: usize,
) -> [S::f32s; N] {
    let (x, weights) = (group.x.as_ptr(), group.weights.as_ptr());
    let mut sums = [simd.splat_f32s(0.0); N];
    for &(at, weight) in group.taps {
        // SAFETY: `lanes` channels of a tap and of its weights.
        unsafe {
            let weight = load_some(simd, weights.add(weight + channel), lanes);
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = at + (first + i) * group.step + channel;
                let x = load_some(simd, x.add(at), lanes);
                *sum = simd.mul_add_e_f32s(weight, x, *sum);
            }
        }
    }
    sums
}

/// The same of neighbouring taps: what one position reads under a tap, the one before reads under
/// the next, and it is read once.
#[inline(always)]
unsafe fn sum_triples<S: Simd, const N: usize>(
    simd: S,
    group: &Group<'_>,
    triples: &[[(usize, usize); 3]],
    (first, channel): (usize, usize),
    lanes: usize,
) -> [S::f32s; N] {
    let (x, weights) = (group.x.as_ptr(), group.weights.as_ptr());
    let mut sums = [simd.splat_f32s(0.0); N];
    for &[(at, u), (_, v), (_, w)] in triples {
        let at = at + first * group.step + channel;
        // SAFETY: `x(i)`, `x(i + 1)` and `x(i + 2)` are what position `first + i` reads under the
        // three taps, `lanes` channels each, and there are as many weights.
        unsafe {
            let weight =
                |weight: usize| load_some(simd, weights.add(weight + channel), lanes);
            let x = |i: usize| load_some(simd, x.add(at + i * group.step), lanes);
            let (u, v, w) = (weight(u), weight(v), weight(w));
            let (mut a, mut b) = (x(0), x(1));
            for (i, sum) in sums.iter_mut().enumerate() {
                let c = x(i + 2);
                *sum = simd.mul_add_e_f32s(u, a, *sum);
                *sum = simd.mul_add_e_f32s(v, b, *sum);
                *sum = simd.mul_add_e_f32s(w, c, *sum);
                (a, b) = (b, c);
            }
        }
    }
    sums
}
