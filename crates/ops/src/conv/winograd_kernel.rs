//! The transforms of F(2 x 2, 3 x 3), many channels at a time.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Simd, WithSimd};

use super::{
    epilogue::Epilogue,
    vectors::{LANES, load, load_some, store, store_some},
};
use crate::simd::dispatch;

/// Values of a transformed tile.
pub(super) const FREQUENCIES: usize = 16;

/// Tiles of `N` pixels that become tiles of all frequencies, of all channels.
pub(super) struct Spread<'a, const N: usize> {
    /// Values pixel by pixel.
    pub(super) values: &'a [f32],
    pub(super) channels: usize,
    /// The number of each pixel; there are zeros where there is none.
    pub(super) tiles: &'a [[Option<usize>; N]],
    /// Where the first tile's first frequency begins.
    pub(super) out: *mut f32,
    /// Values from a tile to the next, and from a frequency to the next.
    pub(super) pitches: (usize, usize),
}

/// Writes `B^T x B` of each tile.
///
/// # Safety
///
/// `out` has room for whole vectors of the channels, of every tile and frequency, and nobody
/// else touches it there.
pub(super) unsafe fn transform_inputs(x: &Spread<'_, FREQUENCIES>) {
    dispatch(Inputs(x));
}

/// Writes `A dy A^T` of each tile.
///
/// # Safety
///
/// As [`transform_inputs`].
pub(super) unsafe fn transform_gradients(dy: &Spread<'_, 4>) {
    dispatch(Gradients(dy));
}

// What follows is written in loops over arrays: some of `map` and `from_fn` the compiler would
// leave outside of the function that knows the machine's vectors.

/// Where the channels of a tile's pixels begin, and 1, or 0 if they are always the same zeros.
type Pixels<const N: usize> = [(*const f32, usize); N];

impl<const N: usize> Spread<'_, N> {
    #[inline(always)]
    fn pixels(&self, tile: &[Option<usize>; N]) -> Pixels<N> {
        static ZEROS: [f32; LANES] = [0.0; LANES];
        let mut pixels = [(ZEROS.as_ptr(), 0); N];
        for (pixel, number) in pixels.iter_mut().zip(tile) {
            if let Some(number) = number {
                let values = &self.values[number * self.channels..][..self.channels];
                *pixel = (values.as_ptr(), 1);
            }
        }
        pixels
    }

    /// Writes frequencies of a column, a row of four apart.
    ///
    /// # Safety
    ///
    /// There is room for a vector of each at `to`.
    #[inline(always)]
    unsafe fn write<S: Simd>(&self, to: *mut f32, column: usize, values: [S::f32s; 4]) {
        for (row, value) in values.into_iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { store::<S>(to.add((4 * row + column) * self.pitches.1), value) };
        }
    }
}

/// The first `lanes` channels of all pixels from `channel` on.
///
/// # Safety
///
/// There are as many channels.
#[inline(always)]
unsafe fn read<S: Simd, const N: usize>(
    simd: S,
    pixels: &Pixels<N>,
    channel: usize,
    lanes: usize,
) -> [S::f32s; N] {
    let mut tile = [simd.splat_f32s(0.0); N];
    for (value, &(from, step)) in tile.iter_mut().zip(pixels) {
        // SAFETY: as the caller promises.
        *value = unsafe { load_some(simd, from.add(channel * step), lanes) };
    }
    tile
}

struct Inputs<'a>(&'a Spread<'a, FREQUENCIES>);

impl WithSimd for Inputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(x) = self;
        for (i, tile) in x.tiles.iter().enumerate() {
            let pixels = x.pixels(tile);
            for channel in (0..x.channels).step_by(S::F32_LANES) {
                let lanes = (x.channels - channel).min(S::F32_LANES);
                // SAFETY: channels of these pixels; the caller promises the room.
                unsafe {
                    let to = x.out.add(i * x.pitches.0 + channel);
                    let mut tile = read(simd, &pixels, channel, lanes);
                    for row in tile.as_chunks_mut::<4>().0 {
                        *row = spread(simd, *row);
                    }
                    for j in 0..4 {
                        let column = [tile[j], tile[4 + j], tile[8 + j], tile[12 + j]];
                        x.write::<S>(to, j, spread(simd, column));
                    }
                }
            }
        }
    }
}

struct Gradients<'a>(&'a Spread<'a, 4>);

impl WithSimd for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(dy) = self;
        for (i, tile) in dy.tiles.iter().enumerate() {
            let pixels = dy.pixels(tile);
            for channel in (0..dy.channels).step_by(S::F32_LANES) {
                let lanes = (dy.channels - channel).min(S::F32_LANES);
                // SAFETY: channels of these pixels; the caller promises the room.
                unsafe {
                    let to = dy.out.add(i * dy.pitches.0 + channel);
                    let [a, b, c, d] = read(simd, &pixels, channel, lanes);
                    let top = spread_gradient(simd, [a, b]);
                    let bottom = spread_gradient(simd, [c, d]);
                    for j in 0..4 {
                        let column = spread_gradient(simd, [top[j], bottom[j]]);
                        dy.write::<S>(to, j, column);
                    }
                }
            }
        }
    }
}

/// One dimension of `B^T x B`.
#[inline(always)]
fn spread<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// One dimension of `A dy A^T`.
#[inline(always)]
fn spread_gradient<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
    let negative = simd.sub_f32s(simd.splat_f32s(0.0), b);
    [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), negative]
}

/// One dimension of `A^T m A`.
#[inline(always)]
fn gather<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    let (even, odd) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
    [simd.add_f32s(a, even), simd.sub_f32s(odd, d)]
}

/// Sums of tiles that become results, of the channels of a panel.
pub(super) struct Gather<'a> {
    /// `[frequency][tile][column]`
    pub(super) sums: &'a [f32],
    /// Values from a tile to the next, and from a frequency to the next.
    pub(super) pitches: (usize, usize),
    /// The first channel, their number, and that of a pixel.
    pub(super) channel: usize,
    pub(super) columns: usize,
    pub(super) channels: usize,
    /// The number of the pixel of each corner that is inside the result.
    pub(super) tiles: &'a [[Option<usize>; 4]],
    /// Where the first pixel's first channel is.
    pub(super) out: *mut f32,
    pub(super) epilogue: Epilogue<'a>,
}

/// Writes `A^T m A` of each tile.
///
/// # Safety
///
/// `out` has room for these pixels, and nobody else touches these channels of them. The epilogue
/// is one of `Epilogue::of_result`, of that result.
pub(super) unsafe fn transform_outputs(sums: &Gather<'_>) {
    dispatch(Outputs(sums));
}

struct Outputs<'a>(&'a Gather<'a>);

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(sums) = self;
        let last = (FREQUENCIES - 1) * sums.pitches.1
            + sums.tiles.len().saturating_sub(1) * sums.pitches.0
            + sums.columns.next_multiple_of(S::F32_LANES);
        assert!(last <= sums.sums.len(), "all frequencies of all tiles");
        for (i, tile) in sums.tiles.iter().enumerate() {
            for column in (0..sums.columns).step_by(S::F32_LANES) {
                let lanes = (sums.columns - column).min(S::F32_LANES);
                // SAFETY: the end was checked; the caller of `transform_outputs` promises the room.
                unsafe {
                    let from = sums.sums.as_ptr().add(i * sums.pitches.0 + column);
                    let corners = corners(simd, from, sums.pitches.1);
                    let channel = sums.channel + column;
                    let end = sums.epilogue.of_channels(simd, channel, lanes);
                    for (pixel, value) in tile.iter().zip(corners) {
                        if let Some(pixel) = pixel {
                            let place = pixel * sums.channels + channel;
                            let value = end.of(simd, value, place);
                            store_some::<S>(sums.out.add(place), value, lanes);
                        }
                    }
                }
            }
        }
    }
}

/// The four results of a tile whose frequencies are `pitch` values apart.
///
/// # Safety
///
/// There is a vector of each.
#[inline(always)]
unsafe fn corners<S: Simd>(simd: S, from: *const f32, pitch: usize) -> [S::f32s; 4] {
    let mut rows = [[simd.splat_f32s(0.0); 2]; 4];
    for (i, row) in rows.iter_mut().enumerate() {
        let mut values = [simd.splat_f32s(0.0); 4];
        for (j, value) in values.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            *value = unsafe { load::<S>(from.add((4 * i + j) * pitch)) };
        }
        *row = gather(simd, values);
    }
    let [a, b, c, d] = rows;
    let left = gather(simd, [a[0], b[0], c[0], d[0]]);
    let right = gather(simd, [a[1], b[1], c[1], d[1]]);
    [left[0], right[0], left[1], right[1]]
}
