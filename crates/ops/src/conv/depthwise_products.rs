//! The gradient of the weights of depthwise convolutions, in vectors of channels.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use core::ops::Range;

use pulp::{Simd, WithSimd};

use super::{
    lattice::{Lattice, Position, Tap},
    vectors::{LANES, load_some, store},
};
use crate::simd::dispatch;

/// Taps of the kernel that is common, 3 x 3, whose sums fit the registers.
const COMMON: usize = 9;
/// Positions that are summed in f32, up to whole rows; all of these sums in f64.
const SHORT: usize = 64;

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

/// The sums of some taps, a few rows of positions at a time.
#[inline(always)]
fn add_rows<S: Simd, const TAPS: usize>(
    simd: S,
    products: &Products<'_>,
    taps: &[Tap; TAPS],
) -> Vec<f64> {
    let &Products { lattice, channels, ref rows, .. } = products;
    let columns = lattice.grid.1;
    // values under a tap from a position to the next
    let step = lattice.from.step.1 * channels;
    // what a tap outside of the image reads, on its way along a row
    let zeros = vec![0f32; columns * step];
    let mut stretches = Vec::new();
    let mut sums = vec![0f64; TAPS * channels];
    let short = SHORT.div_ceil(columns);
    for start in rows.clone().step_by(short) {
        stretches.clear();
        for row in start..(start + short).min(rows.end) {
            products.stretches(row, taps, &zeros, &mut stretches);
        }
        // SAFETY: pixels of the input and of its gradient, whose sizes `add_products` has
        // checked, for all steps; the zeros are as many as a row needs.
        unsafe { add_stretches(simd, &stretches, (channels, step), &mut sums) };
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
}

impl Products<'_> {
    /// Those of a row; a tap outside of the image reads zeros.
    fn stretches<const TAPS: usize>(
        &self,
        row: usize,
        taps: &[Tap; TAPS],
        zeros: &[f32],
        stretches: &mut Vec<Stretch<TAPS>>,
    ) {
        let &Self { lattice, channels, .. } = self;
        let (rows, columns) = lattice.grid;
        let inside = lattice.inside();
        let mut column = 0;
        while column < columns {
            let position = Position { image: row / rows, row: row % rows, column };
            // between the borders the taps of neighbours are neighbours
            let steps = if inside.contains(&column) { inside.end - column } else { 1 };
            let from = taps.map(|tap| {
                let pixel = lattice.read(position, &tap);
                pixel.map_or(zeros.as_ptr(), |pixel| self.x[pixel * channels..].as_ptr())
            });
            let dy = self.dy[(row * columns + column) * channels..].as_ptr();
            stretches.push(Stretch { from, dy, steps });
            column += steps;
        }
    }
}

/// Adds the products of all channels to `sums`, `[tap][channel]`.
#[inline(always)]
unsafe fn add_stretches<S: Simd, const TAPS: usize>(
    simd: S,
    stretches: &[Stretch<TAPS>],
    (channels, step): (usize, usize),
    sums: &mut [f64],
) {
    let rest = channels % S::F32_LANES;
    let whole = channels - rest;
    // SAFETY: as the caller promises, of channels that there are.
    unsafe {
        for channel in (0..whole).step_by(S::F32_LANES) {
            let short =
                sum_stretches(simd, stretches, channel, (channels, step), S::F32_LANES);
            add_sums::<S, TAPS>(&short, &mut sums[channel..], (S::F32_LANES, channels));
        }
        if rest > 0 {
            let short = sum_stretches(simd, stretches, whole, (channels, step), rest);
            add_sums::<S, TAPS>(&short, &mut sums[whole..], (rest, channels));
        }
    }
}

/// The sums of the `lanes` channels from `channel` on.
#[inline(always)]
unsafe fn sum_stretches<S: Simd, const TAPS: usize>(
    simd: S,
    stretches: &[Stretch<TAPS>],
    channel: usize,
    (channels, step): (usize, usize),
    lanes: usize,
) -> [S::f32s; TAPS] {
    let mut sums = [simd.splat_f32s(0.0); TAPS];
    for &Stretch { from, dy, steps } in stretches {
        for i in 0..steps {
            // SAFETY: `lanes` channels of each position and of its taps, as the caller promises.
            unsafe {
                let d = load_some(simd, dy.add(i * channels + channel), lanes);
                for (sum, from) in sums.iter_mut().zip(from) {
                    let x = load_some(simd, from.add(i * step + channel), lanes);
                    *sum = simd.mul_add_e_f32s(d, x, *sum);
                }
            }
        }
    }
    sums
}

/// Adds the first `lanes` of each tap's vector to its sums, `channels` behind those of the tap
/// before.
#[inline(always)]
fn add_sums<S: Simd, const TAPS: usize>(
    short: &[S::f32s; TAPS],
    sums: &mut [f64],
    (lanes, channels): (usize, usize),
) {
    for (sums, short) in sums.chunks_mut(channels).zip(short) {
        let mut values = [0f32; LANES];
        // SAFETY: there is room for a vector of any machine.
        unsafe { store::<S>(values.as_mut_ptr(), *short) };
        for (sum, value) in sums[..lanes].iter_mut().zip(values) {
            *sum += f64::from(value);
        }
    }
}
