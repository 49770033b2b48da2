//! The transforms of F(2 x 2, 3 x 3), many tiles at a time.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

use super::{
    flat::Flat,
    geometry::Geometry,
    kernel::{MAX_LANES, MAX_ROWS, VECTORS, load, store},
};

/// Values of a transformed tile.
pub(super) const FREQUENCIES: usize = 16;

/// `G w G^T` of a 3 x 3 kernel, computed in f64.
pub(super) fn transform_weights(w: [f32; 9]) -> [f32; FREQUENCIES] {
    let spread = |[a, b, c]: [f64; 3]| {
        let (even, odd) = (f64::midpoint(a, c), b / 2.0);
        [a, even + odd, even - odd, c]
    };
    let w = w.map(f64::from);
    let rows: [[f64; 4]; 3] =
        core::array::from_fn(|i| spread([w[3 * i], w[3 * i + 1], w[3 * i + 2]]));
    let columns: [[f64; 4]; 4] =
        core::array::from_fn(|j| spread(core::array::from_fn(|i| rows[i][j])));
    core::array::from_fn(|f| columns[f % 4][f / 4] as f32)
}

/// `B^T x B` of the tiles at some positions, of all channels: `[frequency][input][position]`.
///
/// # Safety
///
/// The layout has room for the taps of `tiles` around these positions, and behind them for
/// whole vectors.
pub(super) unsafe fn transform_input(
    tiles: &Geometry,
    flat: &Flat,
    starts: [usize; VECTORS],
    into: &mut [f32],
) {
    assert_eq!(tiles.taps.len(), FREQUENCIES, "a tap each value of a tile");
    assert!(into.len() >= FREQUENCIES * tiles.inputs * VECTORS * MAX_LANES, "room for all");
    Arch::new().dispatch(Input { tiles, flat, starts, into });
}

struct Input<'a> {
    tiles: &'a Geometry,
    flat: &'a Flat,
    starts: [usize; VECTORS],
    into: &'a mut [f32],
}

impl WithSimd for Input<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tiles, flat, starts, into } = self;
        let width = VECTORS * S::F32_LANES;
        let pitch = tiles.inputs * width;
        let offsets: [isize; FREQUENCIES] = core::array::from_fn(|k| {
            let tap = tiles.taps[k];
            (tap.phase * flat.phase) as isize + tap.offset
        });
        for channel in 0..tiles.inputs {
            let values = flat.at(channel, 0);
            for (v, start) in starts.into_iter().enumerate() {
                let from = values.wrapping_add(start);
                // SAFETY: the caller promises room for the taps.
                let tile: [S::f32s; FREQUENCIES] = core::array::from_fn(|k| unsafe {
                    load::<S>(from.wrapping_offset(offsets[k]))
                });
                let tile = both_ways(tile, |x| spread(simd, x));
                for (f, value) in tile.into_iter().enumerate() {
                    let at = f * pitch + channel * width + v * S::F32_LANES;
                    // SAFETY: `into` has room for all frequencies, channels and positions.
                    unsafe { store::<S>(into.as_mut_ptr().add(at), value) };
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

/// Applies `f` to the rows of a 4 x 4 tile, then to its columns.
#[inline(always)]
fn both_ways<T: Copy>(
    tile: [T; FREQUENCIES],
    f: impl Fn([T; 4]) -> [T; 4],
) -> [T; FREQUENCIES] {
    let rows: [[T; 4]; 4] =
        core::array::from_fn(|i| f(core::array::from_fn(|j| tile[4 * i + j])));
    let columns: [[T; 4]; 4] =
        core::array::from_fn(|j| f(core::array::from_fn(|i| rows[i][j])));
    core::array::from_fn(|k| columns[k % 4][k / 4])
}

/// `A^T m A` of `len` sums of each frequency, in place: the results of the four corners of
/// a tile take the places of the first four frequencies.
pub(super) fn transform_output(products: &mut [f32], len: usize) {
    let frequencies = products.as_chunks::<{ MAX_ROWS * VECTORS * MAX_LANES }>().0.len();
    assert!(
        frequencies >= FREQUENCIES && len <= MAX_ROWS * VECTORS * MAX_LANES,
        "all sums"
    );
    Arch::new().dispatch(Output { products, len });
}

struct Output<'a> {
    products: &'a mut [f32],
    len: usize,
}

impl WithSimd for Output<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const PITCH: usize = MAX_ROWS * VECTORS * MAX_LANES;
        let products = self.products.as_mut_ptr();
        let gather = |[a, b, c, d]: [S::f32s; 4]| {
            let (even, odd) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
            [simd.add_f32s(a, even), simd.sub_f32s(odd, d)]
        };
        for at in (0..self.len).step_by(S::F32_LANES) {
            // SAFETY: `len` is a whole number of vectors, at most PITCH; there are PITCH
            // elements of each frequency.
            unsafe {
                let m: [S::f32s; FREQUENCIES] =
                    core::array::from_fn(|f| load::<S>(products.add(f * PITCH + at)));
                let rows: [[S::f32s; 2]; 4] = core::array::from_fn(|i| {
                    gather(core::array::from_fn(|j| m[4 * i + j]))
                });
                let [left, right] =
                    core::array::from_fn(|j| gather(core::array::from_fn(|i| rows[i][j])));
                for (corner, value) in
                    [left[0], right[0], left[1], right[1]].into_iter().enumerate()
                {
                    store::<S>(products.add(corner * PITCH + at), value);
                }
            }
        }
    }
}
