//! The inner loop of matrix products, in vectors: rows of patches times a panel of weights.

#![expect(unsafe_code, reason = "vectors are loaded and stored without checks")]
#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use pulp::{Simd, WithSimd};

use super::{
    epilogue::Epilogue,
    vectors::{load, load_some, store, store_some},
};
use crate::simd::dispatch;

/// Vectors of a panel.
const VECTORS: usize = 2;

/// Size of the register block on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Values of a vector.
    pub(super) lanes: usize,
    /// Rows of patches.
    pub(super) rows: usize,
    /// Columns of a panel.
    pub(super) columns: usize,
}

impl Block {
    /// That of the machine the program runs on.
    pub(super) fn of_this_machine() -> Self {
        dispatch(Measure)
    }
}

struct Measure;

impl WithSimd for Measure {
    type Output = Block;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Block {
        Block { lanes: S::F32_LANES, rows: rows::<S>(), columns: VECTORS * S::F32_LANES }
    }
}

/// Rows of a block: as many sums as fit 32 registers, or 16, beside a row of the panel and a
/// broadcast value.
pub(super) const MORE: usize = 12;
pub(super) const FEWER: usize = 6;

#[inline(always)]
const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MORE } else { FEWER }
}

/// Rows that are reached from one pointer, at no more than twice the pitch: an address of one
/// operand.
const NEAR: usize = 3;
/// Pointers to the rows of a block, or more.
const POINTERS: usize = 4;

/// How the left operand lies; what is known when this is compiled is fast.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows {
    /// Rows, [`PITCH`] values from one to the next.
    Gathered,
    /// Rows, so many values from one to the next.
    Apart(usize),
    /// Blocks of rows one after the other, each with the first value of all its rows, then the
    /// second and so on.
    Turned,
}

/// Values from a gathered row to the next: rows 1 KiB apart would share few cache lines.
pub(super) const PITCH: usize = 256 + 16;

/// A product of some rows with one panel.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    /// The first value of the first row.
    pub(super) rows: *const f32,
    pub(super) lie: Rows,
    /// `[value of a row][column]`
    pub(super) panel: *const f32,
    /// Values from a row of the panel to the next.
    pub(super) panel_pitch: usize,
    /// Values of a row that are summed.
    pub(super) depth: usize,
    /// The first result.
    pub(super) out: *mut f32,
    /// Where the results of each row begin, behind `out`.
    pub(super) places: &'a [usize],
    /// Columns that are results.
    pub(super) columns: usize,
    /// Whether the sums are added to what is there.
    pub(super) adds: bool,
    /// What is made of the sums, and the channel and the place of the first of them.
    pub(super) epilogue: Option<(Epilogue<'a>, usize, usize)>,
}

/// `out[places[r] + j] = sum_k rows[r][k] * panel[k][j]`, summed in that order.
///
/// # Safety
///
/// Every row has `depth` values, and so have as many rows behind the last as make their
/// number one of whole blocks. The panel has `depth` rows of the columns and what makes them whole
/// vectors. `out` has room for the columns at each of the places, and nobody else touches it
/// there. An epilogue is one of `Epilogue::of_result`, whose result has these places too.
pub(super) unsafe fn multiply(product: Product<'_>) {
    dispatch(Multiply(product));
}

struct Multiply<'a>(Product<'a>);

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let product = self.0;
        // SAFETY: the caller of `multiply` promises the rows and the room.
        unsafe {
            match product.lie {
                Rows::Gathered => multiply_rows::<S>(simd, product, PITCH, 1),
                Rows::Apart(pitch) => multiply_rows::<S>(simd, product, pitch, 1),
                Rows::Turned => multiply_rows::<S>(simd, product, 1, rows::<S>()),
            }
        }
    }
}

/// All rows: value `k` of row `r` of a block is at `r pitch + k step`.
#[inline(always)]
unsafe fn multiply_rows<S: Simd>(simd: S, product: Product<'_>, pitch: usize, step: usize) {
    let narrow = product.columns <= S::F32_LANES;
    let block = rows::<S>() * if step == 1 { pitch } else { product.depth };
    for (i, places) in product.places.chunks(rows::<S>()).enumerate() {
        // SAFETY: as the caller promises.
        unsafe {
            let product = Product { rows: product.rows.add(i * block), places, ..product };
            match (S::REGISTER_COUNT >= 32, narrow) {
                (true, false) => multiply_block::<S, MORE, 2>(simd, &product, pitch, step),
                (true, true) => multiply_block::<S, MORE, 1>(simd, &product, pitch, step),
                (false, false) => {
                    multiply_block::<S, FEWER, 2>(simd, &product, pitch, step);
                }
                (false, true) => multiply_block::<S, FEWER, 1>(simd, &product, pitch, step),
            }
        }
    }
}

#[inline(always)]
unsafe fn multiply_block<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    product: &Product<'_>,
    pitch: usize,
    step: usize,
) {
    debug_assert_eq!(ROWS, rows::<S>(), "the rows that `Block` tells");
    let zero = simd.splat_f32s(0.0);
    if let Some((epilogue, _, start)) = &product.epilogue {
        for place in product.places {
            for v in 0..COLUMNS {
                epilogue.prefetch(start + place + v * S::F32_LANES);
            }
        }
    }
    let mut sums = [[zero; COLUMNS]; ROWS];
    let mut at = Operands::new(product, pitch);
    let (fours, rest) = (product.depth / 4, product.depth % 4);
    // SAFETY: `depth` values of ROWS rows, and as many rows of the panel.
    unsafe {
        for _ in 0..fours {
            at.add(simd, &mut sums, pitch, step);
            at.add(simd, &mut sums, pitch, step);
            at.add(simd, &mut sums, pitch, step);
            at.add(simd, &mut sums, pitch, step);
        }
        for _ in 0..rest {
            at.add(simd, &mut sums, pitch, step);
        }
    }
    let whole = product.columns == COLUMNS * S::F32_LANES;
    if whole
        && !product.adds
        && product.epilogue.is_none()
        && let Ok(places) = <&[usize; ROWS]>::try_from(product.places)
    {
        // out of the registers: all that is indexed by is known now
        for (sums, place) in sums.iter().zip(places) {
            for (v, sum) in sums.iter().enumerate() {
                // SAFETY: as the caller promises.
                unsafe { store::<S>(product.out.add(place + v * S::F32_LANES), *sum) };
            }
        }
        return;
    }
    // a copy, which may be indexed by what is not known now: `sums` stays in registers
    let mut results = [[zero; COLUMNS]; ROWS];
    for (results, sums) in results.iter_mut().zip(&sums) {
        for (result, sum) in results.iter_mut().zip(sums) {
            *result = *sum;
        }
    }
    // SAFETY: as the caller promises.
    unsafe {
        if whole {
            // of a known size: no other code between the vectors
            write(simd, &results, product, COLUMNS * S::F32_LANES);
        } else {
            write(simd, &results, product, product.columns);
        }
    }
}

/// Writes the first `columns` of some rows of sums.
#[inline(always)]
unsafe fn write<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    results: &[[S::f32s; COLUMNS]; ROWS],
    product: &Product<'_>,
    columns: usize,
) {
    for v in 0..COLUMNS {
        let first = v * S::F32_LANES;
        let lanes = columns.saturating_sub(first).min(S::F32_LANES);
        let end = product.epilogue.map(|(epilogue, channel, start)| {
            (epilogue.of_channels(simd, channel + first, lanes), start + first)
        });
        for (sums, &place) in results.iter().zip(product.places) {
            let mut sum = sums[v];
            // SAFETY: there is room for the columns, where earlier sums were written, and so
            // results.
            unsafe {
                let to = product.out.add(place + first);
                if product.adds {
                    sum = simd.add_f32s(load_some(simd, to, lanes), sum);
                }
                if let Some((end, start)) = &end {
                    sum = end.of(simd, sum, start + place);
                }
                store_some::<S>(to, sum, lanes);
            }
        }
    }
}

/// The next value of some rows, and the next row of a panel.
struct Operands {
    rows: [*const f32; POINTERS],
    panel: *const f32,
    panel_pitch: usize,
}

impl Operands {
    #[inline(always)]
    fn new(product: &Product<'_>, pitch: usize) -> Self {
        let mut rows = [product.rows; POINTERS];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = row.wrapping_add(i * NEAR * pitch);
            if matches!(product.lie, Rows::Apart(_)) {
                // else each would be computed from the one before, value by value
                *row = core::hint::black_box(*row);
            }
        }
        Self { rows, panel: product.panel, panel_pitch: product.panel_pitch }
    }

    /// Adds the products of these values to `sums`, and goes on to the next.
    ///
    /// # Safety
    ///
    /// There are such values.
    #[inline(always)]
    unsafe fn add<S: Simd, const ROWS: usize, const COLUMNS: usize>(
        &mut self,
        simd: S,
        sums: &mut [[S::f32s; COLUMNS]; ROWS],
        pitch: usize,
        step: usize,
    ) {
        let mut x = [simd.splat_f32s(0.0); COLUMNS];
        for (v, x) in x.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            *x = unsafe { load::<S>(self.panel.add(v * S::F32_LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            let value = unsafe { *self.rows[row / NEAR].add(row % NEAR * pitch) };
            let value = simd.splat_f32s(value);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(value, x, *sum);
            }
        }
        for row in &mut self.rows {
            *row = row.wrapping_add(step);
        }
        self.panel = self.panel.wrapping_add(self.panel_pitch);
    }
}
