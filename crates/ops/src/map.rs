//! Parallel loops that write every value of a fresh buffer exactly once.
//!
//! A result is not zeroed first where that would be one more pass over memory, and no
//! loop adds across chunks, so that nothing depends on the number of threads.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::{
    shared::chunks_mut,
    simd::{Loop, vectorized},
};

/// Values per piece of work: large against the cost of a task, small against a cache.
const GRAIN: usize = 1 << 14;
/// Values that a loop runs over at least: to begin a shorter one would cost too much.
const PERIOD: usize = 512;

/// `f` of every value.
pub(crate) fn map(x: &[f32], f: impl Fn(f32) -> f32 + Copy + Sync) -> Vec<f32> {
    per_channel([x], [], move |[v], []| f(v))
}

/// `f` of every pair of values.
pub(crate) fn zip(
    a: &[f32],
    b: &[f32],
    f: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> Vec<f32> {
    per_channel([a, b], [], move |[a, b], []| f(a, b))
}

/// `f` of the values of several arrays at one place, and of the parameters of its channel.
///
/// The arrays are pixels of as many values as each of the parameters has. What `f` captures it
/// should own: behind a reference it would be read again for every value.
pub(crate) fn per_channel<const N: usize, const M: usize>(
    arrays: [&[f32]; N],
    parameters: [&[f32]; M],
    f: impl Fn([f32; N], [f32; M]) -> f32 + Copy + Sync,
) -> Vec<f32> {
    let len = arrays[0].len();
    assert!(arrays.iter().all(|array| array.len() == len), "tensors of one shape");
    let channels = parameters.first().map_or(1, |parameter| parameter.len());
    assert!(parameters.iter().all(|p| p.len() == channels), "parameters of one shape");
    assert!(len.is_multiple_of(channels), "whole pixels");
    // the parameters of several pixels side by side, where they are few
    let repeated = PERIOD.div_ceil(channels.max(1));
    let parameters = parameters.map(|parameter| parameter.repeat(repeated));
    let period = (repeated * channels).max(1);
    let size = (GRAIN / period).max(1) * period;
    let mut values = Box::new_uninit_slice(len);
    chunks_mut(&mut values, size, |i, out| {
        let arrays = arrays.map(|array| &array[i * size..][..out.len()]);
        let parameters = parameters.each_ref().map(Vec::as_slice);
        vectorized(Each { out, arrays, parameters, period, f });
    });
    initialized(values)
}

/// Some rows of `size` values each.
pub(crate) fn rows(rows: &[u32], size: usize, values: &[f32]) -> Vec<f32> {
    let mut some = Box::new_uninit_slice(rows.len() * size);
    some.par_chunks_mut(size.max(1)).zip(rows).for_each(|(to, &row)| {
        to.write_copy_of_slice(&values[row as usize * size..][..size]);
    });
    initialized(some)
}

/// Pieces of zeros, each of `size` values, handed to `write` while they are in the cache.
pub(crate) fn pieces(
    len: usize,
    size: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    pieces_and(len, size, |i, piece, _: &mut [()]| write(i, piece)).0
}

/// As [`pieces`], with a second array of the same shape, of default values.
pub(crate) fn pieces_and<T: Copy + Default + Send>(
    len: usize,
    size: usize,
    write: impl Fn(usize, &mut [f32], &mut [T]) + Sync,
) -> (Vec<f32>, Vec<T>) {
    let (mut values, mut others) = (Box::new_uninit_slice(len), Box::new_uninit_slice(len));
    let size = size.max(1);
    let pieces = values.par_chunks_mut(size).zip(others.par_chunks_mut(size)).enumerate();
    pieces.with_min_len(group(size)).for_each(|(i, (values, others))| {
        let values = filled(values, 0.0);
        let others = filled(others, T::default());
        write(i, values, others);
    });
    (initialized(values), initialized(others))
}

/// Writes `f` of what the arrays have, the parameters beginning anew after every period.
struct Each<'a, F, const N: usize, const M: usize> {
    out: &'a mut [MaybeUninit<f32>],
    arrays: [&'a [f32]; N],
    parameters: [&'a [f32]; M],
    period: usize,
    f: F,
}

impl<F, const N: usize, const M: usize> Loop for Each<'_, F, N, M>
where
    F: Fn([f32; N], [f32; M]) -> f32,
{
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let Self { out, arrays, parameters, period, f } = self;
        for (row, out) in out.chunks_mut(period).enumerate() {
            // all of one length, which spares the loop its checks
            let arrays = arrays.map(|array| &array[row * period..][..out.len()]);
            let parameters = parameters.map(|parameter| &parameter[..out.len()]);
            for (i, out) in out.iter_mut().enumerate() {
                let values = arrays.map(|array| array[i]);
                out.write(f(values, parameters.map(|parameter| parameter[i])));
            }
        }
    }
}

/// Small pieces are grouped, so that a task is worth its cost.
fn group(size: usize) -> usize {
    (GRAIN / size).max(1)
}

#[expect(unsafe_code, reason = "the stable library has no safe way to fill a buffer")]
fn filled<T: Copy>(values: &mut [MaybeUninit<T>], value: T) -> &mut [T] {
    values.fill(MaybeUninit::new(value));
    // SAFETY: all were just written.
    unsafe { values.assume_init_mut() }
}

#[expect(unsafe_code, reason = "a zeroed buffer would cost a pass over memory")]
fn initialized<T>(values: Box<[MaybeUninit<T>]>) -> Vec<T> {
    // SAFETY: private to this module, whose loops write each value of each chunk of
    // their buffer, and take every chunk; one that panics takes the buffer with it.
    unsafe { values.assume_init() }.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_channel() {
        // three pixels of two channels: the first is doubled, the second negated, plus 10
        let x = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let y = per_channel([&x], [&[2.0, -1.0], &[0.0, 10.0]], |[x], [scale, shift]| {
            x * scale + shift
        });
        assert_eq!(y, [2.0, 8.0, 6.0, 6.0, 10.0, 4.0]);
    }

    #[test]
    fn parameters_begin_anew_with_every_pixel() {
        // several pixels a loop, one, and one that is more than a piece of work
        for channels in [1, 3, PERIOD + 1, GRAIN + 1] {
            let c: Vec<f32> = (0..channels).map(|c| c as f32).collect();
            let x = c.repeat(GRAIN / channels + 2);
            let y = per_channel([&x, &x], [&c], |[a, b], [c]| a + b - 2.0 * c);
            assert_eq!(y, vec![0.0; x.len()]);
        }
    }

    #[test]
    fn every_value_of_a_last_short_chunk_is_written() {
        let x: Vec<f32> = (0..GRAIN + 3).map(|i| i as f32).collect();
        assert!(map(&x, |v| v + 1.0).iter().zip(&x).all(|(y, x)| *y == x + 1.0));
        assert_eq!(zip(&x, &x, |a, b| a - b), vec![0.0; x.len()]);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert!(map(&[], |v| v).is_empty());
        assert!(per_channel([&[]], [&[]], |[x], [c]| x + c).is_empty());
        assert!(pieces(0, 0, |_, _| ()).is_empty());
    }
}
