//! The two loops of depthwise convolutions, in vectors of channels.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use core::ops::Range;

use pulp::{Simd, WithSimd};

use super::{
    epilogue::Epilogue,
    lattice::{Lattice, Position, Tap},
    vectors::{load_some, store_some},
};
use crate::simd::dispatch;

/// Positions that share a vector of weights.
const SHARED: usize = 4;
/// Taps of the kernel that is common, 3 x 3, whose sums fit the registers.
const COMMON: usize = 9;
/// Positions that are summed in f32; all of these sums in f64.
const SHORT: usize = 64;

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
        let mut done = 0;
        // SAFETY: `convolve` has checked the taps of all positions, and its caller promises
        // the room.
        unsafe {
            while done + SHARED <= group.count {
                convolve_some::<S, SHARED>(simd, group, done, out);
                done += SHARED;
            }
            while done < group.count {
                convolve_some::<S, 1>(simd, group, done, out);
                done += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn convolve_some<S: Simd, const N: usize>(
    simd: S,
    group: &Group<'_>,
    first: usize,
    out: *mut f32,
) {
    let rest = group.channels % S::F32_LANES;
    let whole = group.channels - rest;
    // SAFETY: as the caller promises, of channels that there are.
    unsafe {
        for channel in (0..whole).step_by(S::F32_LANES) {
            convolve_vector::<S, N>(simd, group, (first, channel), S::F32_LANES, out);
        }
        if rest > 0 {
            convolve_vector::<S, N>(simd, group, (first, whole), rest, out);
        }
    }
}

/// The `lanes` channels from `channel` on.
#[inline(always)]
unsafe fn convolve_vector<S: Simd, const N: usize>(
    simd: S,
    group: &Group<'_>,
    (first, channel): (usize, usize),
    lanes: usize,
    out: *mut f32,
) {
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
    let end = group.epilogue.of_channels(simd, channel, lanes);
    for (i, sum) in sums.into_iter().enumerate() {
        let place = group.place + (first + i) * group.place_step + channel;
        // for the next positions
        group.epilogue.prefetch(place + N * group.place_step);
        // SAFETY: the caller promises the room, and so results.
        unsafe { store_some::<S>(out.add(place), end.of(simd, sum, place), lanes) };
    }
}

/// Operands of [`add_products`].
pub(super) struct Products<'a> {
    pub(super) lattice: &'a Lattice,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    /// Channels of a pixel.
    pub(super) channels: usize,
    /// Rows of positions that are summed, those of an image behind those of the one before.
    pub(super) rows: Range<usize>,
}

/// `sums[t][c] = sum over the rows' positions of dy[c] * x[c]`, the latter under tap `t`.
pub(super) fn add_products(products: &Products<'_>) -> Vec<f64> {
    let lattice = products.lattice;
    let pixels = |values: &[f32]| values.len() / products.channels;
    assert_eq!(pixels(products.x), lattice.batch * lattice.from.count(), "an input");
    assert_eq!(pixels(products.dy), lattice.positions(), "a gradient each position");
    assert!(products.rows.end <= lattice.batch * lattice.grid.0, "rows that there are");
    dispatch(AddProducts(products))
}

struct AddProducts<'a>(&'a Products<'a>);

impl WithSimd for AddProducts<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let taps = &self.0.lattice.taps[..];
        if let Ok(taps) = <&[Tap; COMMON]>::try_from(taps) {
            return add_rows(simd, self.0, taps);
        }
        taps.iter().flat_map(|tap| add_rows(simd, self.0, &[*tap])).collect()
    }
}

/// The sums of some taps, row by row: all channels of a row are near each other in memory.
#[inline(always)]
fn add_rows<S: Simd, const TAPS: usize>(
    simd: S,
    products: &Products<'_>,
    taps: &[Tap; TAPS],
) -> Vec<f64> {
    let &Products { lattice, channels, .. } = products;
    let (rows, columns) = lattice.grid;
    let inside = lattice.inside();
    let step = lattice.from.step.1 * channels;
    // what a tap outside of the image reads, on its way along a row
    let zeros = vec![0f32; columns * step.max(channels)];
    let (x, dy) = (products.x.as_ptr(), products.dy.as_ptr());
    let mut short = vec![0f32; TAPS * channels];
    let mut sums = vec![0f64; TAPS * channels];
    let mut count = 0;
    for row in products.rows.clone() {
        let mut column = 0;
        while column < columns {
            let position = Position { image: row / rows, row: row % rows, column };
            // between the borders the taps of neighbours are neighbours
            let steps = if inside.contains(&column) { inside.end - column } else { 1 };
            // SAFETY: pixels of the input and of its gradient, whose sizes `add_products` has
            // checked, for all steps; the zeros are as many as a row needs.
            unsafe {
                let from = taps.map(|tap| {
                    let pixel = lattice.read(position, &tap);
                    pixel.map_or(zeros.as_ptr(), |pixel| x.add(pixel * channels))
                });
                let dy = dy.add((row * columns + column) * channels);
                let stretch = Stretch { from, dy, steps, step, channels };
                add_stretch(simd, &stretch, &mut short);
            }
            column += steps;
        }
        count += columns;
        if count >= SHORT || row + 1 == products.rows.end {
            for (sum, short) in sums.iter_mut().zip(&mut short) {
                *sum += f64::from(core::mem::take(short));
            }
            count = 0;
        }
    }
    sums
}

/// Neighbouring positions of a row.
struct Stretch<const TAPS: usize> {
    /// Where the first position's channels begin under each tap.
    from: [*const f32; TAPS],
    /// The gradient of the first position.
    dy: *const f32,
    steps: usize,
    /// Values under a tap from a position to the next.
    step: usize,
    channels: usize,
}

/// Adds the products of all channels to `sums`, `[tap][channel]`.
#[inline(always)]
unsafe fn add_stretch<S: Simd, const TAPS: usize>(
    simd: S,
    stretch: &Stretch<TAPS>,
    sums: &mut [f32],
) {
    let rest = stretch.channels % S::F32_LANES;
    let whole = stretch.channels - rest;
    // SAFETY: as the caller promises, of channels that there are.
    unsafe {
        for channel in (0..whole).step_by(S::F32_LANES) {
            add_vector(simd, stretch, channel, S::F32_LANES, sums);
        }
        if rest > 0 {
            add_vector(simd, stretch, whole, rest, sums);
        }
    }
}

/// Adds those of the `lanes` channels from `channel` on.
#[inline(always)]
unsafe fn add_vector<S: Simd, const TAPS: usize>(
    simd: S,
    stretch: &Stretch<TAPS>,
    channel: usize,
    lanes: usize,
    sums: &mut [f32],
) {
    let &Stretch { from, dy, steps, step, channels } = stretch;
    let sums = &mut sums[channel..(TAPS - 1) * channels + channel + lanes];
    let sums = sums.as_mut_ptr();
    // SAFETY: `lanes` channels of each position, of its taps and of the sums, as the caller
    // promises and as was just checked.
    unsafe {
        let mut vectors: [S::f32s; TAPS] =
            core::array::from_fn(|tap| load_some(simd, sums.add(tap * channels), lanes));
        for i in 0..steps {
            let d = load_some(simd, dy.add(i * channels + channel), lanes);
            for (vector, from) in vectors.iter_mut().zip(from) {
                let x = load_some(simd, from.add(i * step + channel), lanes);
                *vector = simd.mul_add_e_f32s(d, x, *vector);
            }
        }
        for (tap, vector) in vectors.into_iter().enumerate() {
            store_some::<S>(sums.add(tap * channels), vector, lanes);
        }
    }
}
