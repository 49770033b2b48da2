//! The two loops of depthwise convolutions, in vectors of channels.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

use super::{
    epilogue::Epilogue,
    kernel::{load_some, store, store_some},
    lattice::{Lattice, Position, Tap},
};

/// Channels whose products are summed together: a line of the cache.
pub(super) const CHANNELS: usize = 16;
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
/// `out` has room for these results, and nobody else touches them.
pub(super) unsafe fn convolve(group: &Group<'_>, out: *mut f32) {
    let last = (group.count - 1) * group.step + group.channels;
    for &(x, weights) in group.taps {
        assert!(x + last <= group.x.len(), "every tap is inside the input");
        assert!(weights + group.channels <= group.weights.len(), "and has weights");
    }
    Arch::new().dispatch(Convolve { group, out });
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
    let (x, weights) = (group.x.as_ptr(), group.weights.as_ptr());
    for channel in (0..group.channels).step_by(S::F32_LANES) {
        let lanes = (group.channels - channel).min(S::F32_LANES);
        let mut sums = [simd.splat_f32s(0.0); N];
        for &(at, weight) in group.taps {
            // SAFETY: `lanes` channels of a tap and of its weights.
            unsafe {
                let weight = load_some(simd, weights.add(weight + channel), lanes);
                for (i, sum) in sums.iter_mut().enumerate() {
                    let at = at + (first + i) * group.step + channel;
                    *sum = simd.mul_add_e_f32s(
                        weight,
                        load_some(simd, x.add(at), lanes),
                        *sum,
                    );
                }
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            let place = group.place + (first + i) * group.place_step + channel;
            let sum = group.epilogue.of(simd, sum, channel, place, lanes);
            // SAFETY: the caller promises the room.
            unsafe { store_some::<S>(out.add(place), sum, lanes) };
        }
    }
}

/// Operands of [`add_products`].
pub(super) struct Products<'a> {
    pub(super) lattice: &'a Lattice,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    /// Channels of a pixel.
    pub(super) channels: usize,
    /// The first of the channels that are summed, and their number.
    pub(super) first: usize,
    pub(super) some: usize,
}

/// `sums[t][c] = sum over all positions of dy[c] * x[c]`, the latter under tap `t`.
pub(super) fn add_products(products: &Products<'_>) -> Vec<[f64; CHANNELS]> {
    let lattice = products.lattice;
    let pixels = |values: &[f32]| values.len() / products.channels;
    assert_eq!(pixels(products.x), lattice.batch * lattice.from.count(), "an input");
    assert_eq!(pixels(products.dy), lattice.positions(), "a gradient each position");
    assert!(
        products.some <= CHANNELS && products.first + products.some <= products.channels
    );
    Arch::new().dispatch(AddProducts(products))
}

struct AddProducts<'a>(&'a Products<'a>);

impl WithSimd for AddProducts<'_> {
    type Output = Vec<[f64; CHANNELS]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let taps = &self.0.lattice.taps[..];
        if let Ok(taps) = <&[Tap; COMMON]>::try_from(taps) {
            return add_some(simd, self.0, taps).to_vec();
        }
        taps.iter().map(|tap| add_some(simd, self.0, &[*tap])[0]).collect()
    }
}

#[inline(always)]
fn add_some<S: Simd, const TAPS: usize>(
    simd: S,
    products: &Products<'_>,
    taps: &[Tap; TAPS],
) -> [[f64; CHANNELS]; TAPS] {
    let mut sums = [[0.0; CHANNELS]; TAPS];
    for channel in (0..products.some).step_by(S::F32_LANES) {
        add_vector(simd, products, taps, channel, &mut sums);
    }
    sums
}

/// The sums of one vector of channels.
#[inline(always)]
fn add_vector<S: Simd, const TAPS: usize>(
    simd: S,
    products: &Products<'_>,
    taps: &[Tap; TAPS],
    channel: usize,
    sums: &mut [[f64; CHANNELS]; TAPS],
) {
    let &Products { lattice, channels, first, some, .. } = products;
    let lanes = (some - channel).min(S::F32_LANES);
    let (rows, columns) = lattice.grid;
    let inside = lattice.inside();
    let zeros = [0f32; CHANNELS];
    let (x, dy) = (products.x.as_ptr(), products.dy.as_ptr());
    let mut short = [simd.splat_f32s(0.0); TAPS];
    let mut count = 0;
    for row in 0..lattice.batch * rows {
        let mut column = 0;
        while column < columns {
            let position = Position { image: row / rows, row: row % rows, column };
            let at = (row * columns + column) * channels + first + channel;
            // a tap outside of the image reads zeros
            let read = taps.map(|tap| lattice.read(position, &tap));
            let whole = read.iter().all(Option::is_some) && inside.contains(&column);
            let from = read.map(|pixel| match pixel {
                // SAFETY: a pixel of the input, of which `add_products` has checked the size.
                Some(pixel) => unsafe { x.add(pixel * channels + first + channel) },
                None => zeros.as_ptr(),
            });
            let steps = if whole { inside.end - column } else { 1 };
            let step = lattice.from.step.1 * channels;
            for i in 0..steps {
                // SAFETY: `lanes` channels of a position and of its taps, which are inside the
                // image for all of these steps, or of the zeros.
                unsafe {
                    let d = load_some(simd, dy.add(at + i * channels), lanes);
                    for (sum, from) in short.iter_mut().zip(from) {
                        let x = load_some(simd, from.add(i * step), lanes);
                        *sum = simd.mul_add_e_f32s(d, x, *sum);
                    }
                }
            }
            column += steps;
            count += steps;
        }
        if count >= SHORT || row + 1 == lattice.batch * rows {
            for (sums, short) in sums.iter_mut().zip(&mut short) {
                let mut values = [0f32; CHANNELS];
                // SAFETY: a vector has at most CHANNELS lanes.
                unsafe { store::<S>(values.as_mut_ptr(), *short) };
                for (sum, value) in sums[channel..].iter_mut().zip(values) {
                    *sum += f64::from(value);
                }
                *short = simd.splat_f32s(0.0);
            }
            count = 0;
        }
    }
}
