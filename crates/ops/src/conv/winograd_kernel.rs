//! The transforms of F(2 x 2, 3 x 3), many channels at a time.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

use super::kernel::{load, load_some, store, store_some};

/// Values of a transformed tile.
pub(super) const FREQUENCIES: usize = 16;
/// Elements of the kernel.
pub(super) const ELEMENTS: usize = 9;
/// Most lanes of a vector.
const LANES: usize = 16;

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

/// `G w G^T` of many kernels side by side: `w [element][kernel]` to `[frequency][kernel]`,
/// `pitch` values from one element, and from one frequency, to the next.
pub(super) fn transform_weights(w: &[f32], out: &mut [f32], pitch: usize) {
    assert!(pitch.is_multiple_of(LANES), "whole vectors");
    assert!(
        w.len() >= ELEMENTS * pitch && out.len() >= FREQUENCIES * pitch,
        "room for all"
    );
    Arch::new().dispatch(Weights { w, out, pitch });
}

struct Weights<'a> {
    w: &'a [f32],
    out: &'a mut [f32],
    pitch: usize,
}

impl WithSimd for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { w, out, pitch } = self;
        let half = simd.splat_f32s(0.5);
        let spread = |[a, b, c]: [S::f32s; 3]| {
            let (even, odd) =
                (simd.mul_f32s(simd.add_f32s(a, c), half), simd.mul_f32s(b, half));
            [a, simd.add_f32s(even, odd), simd.sub_f32s(even, odd), c]
        };
        for at in (0..pitch).step_by(S::F32_LANES) {
            // SAFETY: `transform_weights` has checked both ends.
            unsafe {
                let w: [S::f32s; ELEMENTS] =
                    core::array::from_fn(|k| load::<S>(w.as_ptr().add(k * pitch + at)));
                let rows: [[S::f32s; 4]; 3] = core::array::from_fn(|i| {
                    spread([w[3 * i], w[3 * i + 1], w[3 * i + 2]])
                });
                let columns: [[S::f32s; 4]; 4] =
                    core::array::from_fn(|j| spread([rows[0][j], rows[1][j], rows[2][j]]));
                for f in 0..FREQUENCIES {
                    let to = out.as_mut_ptr().add(f * pitch + at);
                    store::<S>(to, columns[f % 4][f / 4]);
                }
            }
        }
    }
}

/// `G^T m G` of some channels, `m [frequency][channel]` to `[element][channel]`, with the
/// pitches of both.
pub(super) fn transform_weights_back(
    m: &[f32],
    pitch: usize,
    channels: usize,
    out: &mut [f32],
    out_pitch: usize,
) {
    assert!(m.len() >= (FREQUENCIES - 1) * pitch + channels, "all frequencies");
    assert!(channels.next_multiple_of(LANES) <= out_pitch, "room for whole vectors");
    assert!(out.len() >= ELEMENTS * out_pitch, "room for all elements");
    Arch::new().dispatch(WeightsBack { m, pitch, channels, out, out_pitch });
}

struct WeightsBack<'a> {
    m: &'a [f32],
    pitch: usize,
    channels: usize,
    out: &'a mut [f32],
    out_pitch: usize,
}

impl WithSimd for WeightsBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, pitch, channels, out, out_pitch } = self;
        let half = simd.splat_f32s(0.5);
        let gather = |[a, b, c, d]: [S::f32s; 4]| {
            let even = simd.mul_f32s(simd.add_f32s(b, c), half);
            let odd = simd.mul_f32s(simd.sub_f32s(b, c), half);
            [simd.add_f32s(a, even), odd, simd.add_f32s(even, d)]
        };
        for at in (0..channels).step_by(S::F32_LANES) {
            let lanes = (channels - at).min(S::F32_LANES);
            // SAFETY: `transform_weights_back` has checked both ends.
            unsafe {
                let m: [S::f32s; FREQUENCIES] = core::array::from_fn(|f| {
                    load_some(simd, m.as_ptr().add(f * pitch + at), lanes)
                });
                let rows: [[S::f32s; 3]; 4] = core::array::from_fn(|i| {
                    gather([m[4 * i], m[4 * i + 1], m[4 * i + 2], m[4 * i + 3]])
                });
                let columns: [[S::f32s; 3]; 3] = core::array::from_fn(|j| {
                    gather([rows[0][j], rows[1][j], rows[2][j], rows[3][j]])
                });
                for k in 0..ELEMENTS {
                    let to = out.as_mut_ptr().add(k * out_pitch + at);
                    store::<S>(to, columns[k % 3][k / 3]);
                }
            }
        }
    }
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
    epilogue: (super::epilogue::Epilogue<'_>, usize),
) {
    let last = (FREQUENCIES - 1) * pitch + columns.next_multiple_of(LANES);
    assert!(last <= m.len(), "all frequencies");
    Arch::new().dispatch(Output { m, pitch, columns, out, places, epilogue });
}

struct Output<'a> {
    m: &'a [f32],
    pitch: usize,
    columns: usize,
    out: *mut f32,
    places: [Option<usize>; 4],
    epilogue: (super::epilogue::Epilogue<'a>, usize),
}

impl WithSimd for Output<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { m, pitch, columns, out, places, epilogue: (epilogue, channel) } = self;
        let gather = |[a, b, c, d]: [S::f32s; 4]| {
            let (even, odd) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
            [simd.add_f32s(a, even), simd.sub_f32s(odd, d)]
        };
        for at in (0..columns).step_by(S::F32_LANES) {
            let lanes = (columns - at).min(S::F32_LANES);
            // SAFETY: `transform_output` has checked the end of `m`; its caller promises the
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
                        store_some(simd, out.add(place), value, lanes);
                    }
                }
            }
        }
    }
}
