//! The transforms of F(2 x 2, 3 x 3), many channels at a time.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

use super::{
    epilogue::Epilogue,
    kernel::{LANES, load, load_some, store, store_some},
};

/// Values of a transformed tile.
pub(super) const FREQUENCIES: usize = 16;

/// `B^T x B` of one tile, of all channels: the values of frequency `f` begin at
/// `f * pitch` of `out`.
///
/// `pixels` are the places in `x` at which the channels of the tile's pixels begin; outside
/// of the image there are zeros.
///
/// # Safety
///
/// `out` has room for whole vectors of the channels, of every frequency, and nobody else touches
/// it there.
pub(super) unsafe fn transform_input(
    x: &[f32],
    channels: usize,
    pixels: [Option<usize>; FREQUENCIES],
    out: *mut f32,
    pitch: usize,
) {
    let spreads = Spreads::new(x, channels, pixels, out, pitch);
    Arch::new().dispatch(Input(spreads));
}

/// `A dy A^T` of one tile, of all channels, as [`transform_input`].
///
/// # Safety
///
/// As [`transform_input`].
pub(super) unsafe fn transform_gradient(
    dy: &[f32],
    channels: usize,
    pixels: [Option<usize>; 4],
    out: *mut f32,
    pitch: usize,
) {
    let spreads = Spreads::new(dy, channels, pixels, out, pitch);
    Arch::new().dispatch(Gradient(spreads));
}

/// A tile of `N` pixels that becomes one of all frequencies.
struct Spreads<const N: usize> {
    /// Where the channels of each pixel begin, and 1, or 0 if they are always the same zeros.
    pixels: [(*const f32, usize); N],
    channels: usize,
    out: *mut f32,
    pitch: usize,
}

impl<const N: usize> Spreads<N> {
    fn new(
        x: &[f32],
        channels: usize,
        pixels: [Option<usize>; N],
        out: *mut f32,
        pitch: usize,
    ) -> Self {
        static ZEROS: [f32; LANES] = [0.0; LANES];
        let pixels = pixels.map(|pixel| match pixel {
            Some(at) => (x[at..at + channels].as_ptr(), 1),
            None => (ZEROS.as_ptr(), 0),
        });
        Self { pixels, channels, out, pitch }
    }

    /// Writes what `f` makes of the pixels, vector by vector of the channels.
    ///
    /// # Safety
    ///
    /// As [`transform_input`].
    #[inline(always)]
    unsafe fn write<S: Simd>(
        self,
        simd: S,
        f: impl Fn([S::f32s; N]) -> [S::f32s; FREQUENCIES],
    ) {
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            let lanes = (self.channels - channel).min(S::F32_LANES);
            // SAFETY: `new` has cut the channels of each pixel; the caller promises the room.
            unsafe {
                let tile = self
                    .pixels
                    .map(|(from, step)| load_some(simd, from.add(channel * step), lanes));
                for (frequency, value) in f(tile).into_iter().enumerate() {
                    store::<S>(self.out.add(frequency * self.pitch + channel), value);
                }
            }
        }
    }
}

struct Input(Spreads<FREQUENCIES>);

impl WithSimd for Input {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // SAFETY: as the caller of `transform_input` promises.
        unsafe { self.0.write(simd, |tile| both_ways(tile, |x| spread(simd, x))) };
    }
}

struct Gradient(Spreads<4>);

impl WithSimd for Gradient {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let spread = |[a, b]: [S::f32s; 2]| {
            [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), simd.sub_f32s(zero, b)]
        };
        let transform = |[a, b, c, d]: [S::f32s; 4]| {
            let (left, right) = (spread([a, c]), spread([b, d]));
            let rows: [[S::f32s; 4]; 4] =
                core::array::from_fn(|i| spread([left[i], right[i]]));
            core::array::from_fn(|f| rows[f / 4][f % 4])
        };
        // SAFETY: as the caller of `transform_gradient` promises.
        unsafe { self.0.write(simd, transform) };
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

/// `A^T m A` of one tile, of the `columns` channels of a panel: `m [frequency][column]` lies
/// `pitch` values from one frequency to the next, and each corner that is inside the result has
/// its results written to its place.
///
/// # Safety
///
/// `out` has room for the columns at each of the places, and nobody else touches it there.
pub(super) unsafe fn transform_output(
    m: &[f32],
    pitch: usize,
    columns: usize,
    (out, places): (*mut f32, [Option<usize>; 4]),
    epilogue: (Epilogue<'_>, usize),
) {
    Arch::new().dispatch(Output { m, pitch, columns, out, places, epilogue });
}

struct Output<'a> {
    m: &'a [f32],
    pitch: usize,
    columns: usize,
    out: *mut f32,
    places: [Option<usize>; 4],
    epilogue: (Epilogue<'a>, usize),
}

impl WithSimd for Output<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, pitch, columns, out, places, epilogue: (epilogue, channel) } = self;
        let last = (FREQUENCIES - 1) * pitch + columns.next_multiple_of(S::F32_LANES);
        assert!(last <= m.len(), "all frequencies");
        let gather = |[a, b, c, d]: [S::f32s; 4]| {
            let (even, odd) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
            [simd.add_f32s(a, even), simd.sub_f32s(odd, d)]
        };
        for at in (0..columns).step_by(S::F32_LANES) {
            let lanes = (columns - at).min(S::F32_LANES);
            // SAFETY: the end of `m` was checked; the caller of `transform_output` promises the
            // places.
            unsafe {
                let m: [S::f32s; FREQUENCIES] =
                    core::array::from_fn(|f| load::<S>(m.as_ptr().add(f * pitch + at)));
                let rows: [[S::f32s; 2]; 4] = core::array::from_fn(|i| {
                    gather([m[4 * i], m[4 * i + 1], m[4 * i + 2], m[4 * i + 3]])
                });
                let [left, right]: [[S::f32s; 2]; 2] = core::array::from_fn(|j| {
                    gather([rows[0][j], rows[1][j], rows[2][j], rows[3][j]])
                });
                let corners = [left[0], right[0], left[1], right[1]];
                for (place, value) in places.into_iter().zip(corners) {
                    if let Some(place) = place {
                        let place = place + at;
                        let value = epilogue.of(simd, value, channel + at, place, lanes);
                        store_some::<S>(out.add(place), value, lanes);
                    }
                }
            }
        }
    }
}
