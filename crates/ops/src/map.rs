//! Parallel loops that write every value of a fresh buffer exactly once.
//!
//! A result is not zeroed first where that would be one more pass over memory, and no
//! loop adds across chunks, so that nothing depends on the number of threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::simd::{Loop, vectorized};

/// Values per piece of work: large against the cost of a task, small against a cache.
const GRAIN: usize = 1 << 14;

/// `f` of every value.
pub(crate) fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    zip_planes([x], GRAIN, |_| |[v]: [f32; 1]| f(v))
}

/// `f` of every pair of values.
pub(crate) fn zip(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    zip_planes([a, b], GRAIN, |_| |[a, b]: [f32; 2]| f(a, b))
}

/// `f(plane)` of every value of each plane, a plane being `size` values.
pub(crate) fn map_planes<G: Fn(f32) -> f32>(
    x: &[f32],
    size: usize,
    f: impl Fn(usize) -> G + Sync,
) -> Vec<f32> {
    zip_planes([x], size, |plane| {
        let g = f(plane);
        move |[v]: [f32; 1]| g(v)
    })
}

/// `f(plane)` of the values of several arrays at one place, a plane being `size` values.
pub(crate) fn zip_planes<G: Fn([f32; N]) -> f32, const N: usize>(
    arrays: [&[f32]; N],
    size: usize,
    f: impl Fn(usize) -> G + Sync,
) -> Vec<f32> {
    let len = arrays[0].len();
    assert!(arrays.iter().all(|array| array.len() == len), "tensors of one shape");
    let mut values = Box::new_uninit_slice(len);
    let size = size.max(1);
    let pieces = values.par_chunks_mut(size).enumerate();
    pieces.with_min_len(group(size)).for_each(|(i, out)| {
        let g = f(i);
        vectorized(Each { out, arrays, at: i * size, f: &g });
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

/// `f(channel)` of every value of `[N, C, plane]` arrays at one place, channel by channel.
///
/// `f` also gives what is to be kept of the channel: it typically reads the channel once,
/// and its values are then still in the cache.
pub(crate) fn zip_channels<S: Send, G: Fn([f32; N]) -> f32, const N: usize>(
    arrays: [&[f32]; N],
    (channels, plane): (usize, usize),
    f: impl Fn(usize) -> (S, G) + Sync,
) -> (Vec<f32>, Vec<S>) {
    let len = arrays[0].len();
    assert!(arrays.iter().all(|array| array.len() == len), "tensors of one shape");
    let mut values = Box::new_uninit_slice(len);
    let mut outputs: Vec<Vec<&mut [MaybeUninit<f32>]>> = Vec::new();
    outputs.resize_with(channels, Vec::new);
    for (i, out) in values.chunks_mut(plane.max(1)).enumerate() {
        outputs[i % channels].push(out);
    }
    let kept = outputs.into_par_iter().enumerate().map(|(channel, outputs)| {
        let (kept, g) = f(channel);
        for (n, out) in outputs.into_iter().enumerate() {
            let at = (n * channels + channel) * plane;
            vectorized(Each { out, arrays, at, f: &g });
        }
        kept
    });
    let kept = kept.collect();
    (initialized(values), kept)
}

/// Planes of zeros, each of `size` values, handed to `write` while they are in the cache.
pub(crate) fn planes(
    len: usize,
    size: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    planes_and(len, size, |i, plane, _: &mut [()]| write(i, plane)).0
}

/// As [`planes`], with a second array of the same shape, of default values.
pub(crate) fn planes_and<T: Copy + Default + Send>(
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

/// Writes `f` of what the arrays have from `at` on.
struct Each<'a, F, const N: usize> {
    out: &'a mut [MaybeUninit<f32>],
    arrays: [&'a [f32]; N],
    at: usize,
    f: &'a F,
}

impl<F: Fn([f32; N]) -> f32, const N: usize> Loop for Each<'_, F, N> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
    #[inline(always)]
    fn run(self) {
        let arrays = self.arrays.map(|array| &array[self.at..self.at + self.out.len()]);
        for (i, out) in self.out.iter_mut().enumerate() {
            out.write((self.f)(arrays.map(|array| array[i])));
        }
    }
}

/// Small planes are grouped, so that a task is worth its cost.
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
    // their buffer; a chunk that panics takes the buffer with it.
    unsafe { values.assume_init() }.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_strided_over_the_batch() {
        // [2 images, 2 channels, 2 values]; channel c is scaled by c + 1
        let x = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let (y, kept) =
            zip_channels([&x], (2, 2), |c| (c, move |[a]: [f32; 1]| a * (c + 1) as f32));
        assert_eq!(y, [1.0, 2.0, 6.0, 8.0, 5.0, 6.0, 14.0, 16.0]);
        assert_eq!(kept, [0, 1]);
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
        assert!(planes(0, 0, |_, _| ()).is_empty());
    }
}
