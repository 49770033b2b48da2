//! The two loops where the time goes, in the widest vectors the machine has.
//!
//! `pulp` chooses AVX-512, AVX2, NEON or plain code when the program runs. The register
//! blocks hold all their accumulators in registers: 8 x 3 vectors where there are 32
//! registers, 4 x 3 where there are 16.

#![expect(unsafe_code, reason = "unchecked, unaligned vector loads in the inner loops")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Arch, Simd, WithSimd};

/// Vectors of positions in a register block of [`products`].
pub(crate) const VECTORS: usize = 3;
/// Most lanes a vector has on any machine.
pub(crate) const MAX_LANES: usize = 16;
/// Most rows a register block of [`products`] has on any machine.
pub(crate) const MAX_ROWS: usize = 8;
/// Rows of the left operand in a block of [`dots`].
pub(crate) const LEFT: usize = 4;
/// Rows of the right operand in a block of [`dots`].
pub(crate) const RIGHT: usize = 6;

/// Size of the register block of [`products`] on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Rows of weights.
    pub(crate) rows: usize,
    /// Positions in one of the [`VECTORS`].
    pub(crate) lanes: usize,
}

impl Block {
    /// That of the machine the program runs on.
    pub(crate) fn of_this_machine() -> Self {
        Arch::new().dispatch(Measure)
    }
}

struct Measure;

impl WithSimd for Measure {
    type Output = Block;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Block {
        Block { rows: rows::<S>(), lanes: S::F32_LANES }
    }
}

#[inline(always)]
const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// Operands of [`products`].
#[derive(Clone, Copy)]
pub(crate) struct Products<'a> {
    /// Weights `[channel][tap][row]`, as many channels as are to be summed.
    pub(crate) panel: &'a [f32],
    /// Taps of a channel in `panel`.
    pub(crate) kernel: usize,
    /// Element 0 of channel 0.
    pub(crate) values: *const f32,
    /// Elements from one channel to the next.
    pub(crate) stride: usize,
    /// The taps to sum: index in the panel and where it reads, relative to the position.
    pub(crate) taps: &'a [(usize, isize)],
    /// First position of each vector.
    pub(crate) starts: [usize; VECTORS],
}

/// Sums of shifted products: for each row `r` and each lane `l` of each vector `v`,
///
/// `out[r][v][l] = sum_c sum_(t, offset) panel[c][t][r] * values[c stride + starts[v] + offset + l]`
///
/// summed in that order, whatever the block that a position falls in.
///
/// # Safety
///
/// Every element that the formula names, for `panel.len() / (rows * kernel)`
/// channels, lies in the allocation of `values` and is initialised; the taps are less than
/// `kernel`.
pub(crate) unsafe fn products(
    operands: Products<'_>,
    out: &mut [f32; MAX_ROWS * VECTORS * MAX_LANES],
) {
    Arch::new().dispatch(ProductsOp { operands, out });
}

struct ProductsOp<'a> {
    operands: Products<'a>,
    out: &'a mut [f32; MAX_ROWS * VECTORS * MAX_LANES],
}

impl WithSimd for ProductsOp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // SAFETY: the caller of `products` promises what the loop needs.
        unsafe {
            if rows::<S>() == 8 {
                products_rows::<S, 8>(simd, self.operands, self.out);
            } else {
                products_rows::<S, 4>(simd, self.operands, self.out);
            }
        }
    }
}

#[inline(always)]
unsafe fn products_rows<S: Simd, const ROWS: usize>(
    simd: S,
    operands: Products<'_>,
    out: &mut [f32; MAX_ROWS * VECTORS * MAX_LANES],
) {
    let Products { panel, kernel, values, stride, taps, starts } = operands;
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let channels = panel.len() / (ROWS * kernel);
    let mut panel = panel.as_ptr();
    let bases = starts.map(|start| values.wrapping_add(start));
    let mut channel = 0;
    for _ in 0..channels {
        for &(tap, offset) in taps {
            // SAFETY: inside `values` and `panel`, as the caller promises.
            unsafe {
                let weights = panel.add(tap * ROWS);
                let at = channel + offset;
                let mut x = [simd.splat_f32s(0.0); VECTORS];
                for (x, base) in x.iter_mut().zip(bases) {
                    *x = load::<S>(base.offset(at));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let w = simd.splat_f32s(*weights.add(row));
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f32s(w, x, *sum);
                    }
                }
            }
        }
        channel += stride as isize;
        panel = panel.wrapping_add(kernel * ROWS);
    }
    for (row, sums) in sums.iter().enumerate() {
        for (v, &sum) in sums.iter().enumerate() {
            // SAFETY: row * VECTORS + v < MAX_ROWS * VECTORS, and a vector has at most
            // MAX_LANES lanes.
            unsafe {
                store::<S>(out.as_mut_ptr().add((row * VECTORS + v) * S::F32_LANES), sum);
            }
        }
    }
}

/// What a scalar product runs over: `count` stretches of `len` elements, the beginnings of
/// two neighbours `pitch` elements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretches {
    pub(crate) count: usize,
    pub(crate) pitch: usize,
    pub(crate) len: usize,
}

/// Scalar products of `LEFT` rows with `RIGHT` rows:
/// `out[i][j] = sum over the elements p of left[i][p] * right[j][p]`.
///
/// The order of the sum depends on the stretches alone.
///
/// # Safety
///
/// All rows have these elements, initialised.
pub(crate) unsafe fn dots(
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    over: Stretches,
) -> [[f32; RIGHT]; LEFT] {
    Arch::new().dispatch(Dots { left, right, over })
}

struct Dots {
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    over: Stretches,
}

impl WithSimd for Dots {
    type Output = [[f32; RIGHT]; LEFT];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { left, right, over } = self;
        // SAFETY: the caller of `dots` promises the elements.
        unsafe {
            if S::REGISTER_COUNT >= 32 {
                return dots_block(simd, left, right, over);
            }
            let first = dots_block(simd, left, [right[0], right[1], right[2]], over);
            let second = dots_block(simd, left, [right[3], right[4], right[5]], over);
            core::array::from_fn(|i| {
                let ([a, b, c], [d, e, f]) = (first[i], second[i]);
                [a, b, c, d, e, f]
            })
        }
    }
}

#[inline(always)]
unsafe fn dots_block<S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: [*const f32; M],
    right: [*const f32; N],
    over: Stretches,
) -> [[f32; N]; M] {
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    let rest = over.len % S::F32_LANES;
    let whole = over.len - rest;
    for stretch in 0..over.count {
        let mut p = stretch * over.pitch;
        let end = p + whole;
        while p < end {
            // SAFETY: these F32_LANES elements belong to the stretch, in every row.
            unsafe {
                let mut a = [simd.splat_f32s(0.0); M];
                for (a, left) in a.iter_mut().zip(left) {
                    *a = load::<S>(left.add(p));
                }
                for j in 0..N {
                    let b = load::<S>(right[j].add(p));
                    for i in 0..M {
                        sums[i][j] = simd.mul_add_e_f32s(a[i], b, sums[i][j]);
                    }
                }
            }
            p += S::F32_LANES;
        }
    }
    let mut out = [[0.0; N]; M];
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = simd.reduce_sum_f32s(sum);
        }
    }
    if rest > 0 {
        for (out, left) in out.iter_mut().zip(left) {
            for (out, right) in out.iter_mut().zip(right) {
                // SAFETY: the rests belong to the stretches, in every row.
                *out += unsafe { rests(left, right, over, rest) };
            }
        }
    }
    out
}

/// The products of the last `rest` elements of each stretch.
#[inline(never)]
unsafe fn rests(left: *const f32, right: *const f32, over: Stretches, rest: usize) -> f32 {
    let mut sum = 0.0;
    for stretch in 0..over.count {
        let end = stretch * over.pitch + over.len;
        for p in end - rest..end {
            // SAFETY: the caller has this element in both rows.
            sum += unsafe { *left.add(p) * *right.add(p) };
        }
    }
    sum
}

#[inline(always)]
pub(super) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller has F32_LANES elements at `from`; f32s is plain data.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

#[inline(always)]
pub(super) unsafe fn store<S: Simd>(to: *mut f32, value: S::f32s) {
    // SAFETY: the caller has room for F32_LANES elements at `to`.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}
