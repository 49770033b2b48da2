//! Parallel loops that write every value of a fresh buffer exactly once.
//!
//! A result is never zeroed first (that would be one more pass over memory), and no
//! loop adds across chunks, so that nothing depends on the number of threads.

use std::mem::MaybeUninit;

use pulp::Arch;
use rayon::prelude::*;

/// Values per piece of work: large against the cost of a task, small against a cache.
const GRAIN: usize = 1 << 14;

/// Runs `f` compiled for the widest vectors of this machine.
pub(crate) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

/// `f` of every value.
pub(crate) fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    map_planes(x, GRAIN, |_| &f)
}

/// `f(plane)` of every value of each plane, a plane being `size` values.
pub(crate) fn map_planes<G: Fn(f32) -> f32>(
    x: &[f32],
    size: usize,
    f: impl Fn(usize) -> G + Sync,
) -> Vec<f32> {
    let mut values = Box::new_uninit_slice(x.len());
    let size = size.max(1);
    let pieces = values.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate();
    pieces.with_min_len(group(size)).for_each(|(i, (out, x))| {
        let g = f(i);
        vectorized(|| {
            for (o, v) in out.iter_mut().zip(x) {
                o.write(g(*v));
            }
        });
    });
    initialized(values)
}

/// `f` of every pair of values.
pub(crate) fn zip(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    assert_eq!(a.len(), b.len(), "tensors of one shape");
    let mut values = Box::new_uninit_slice(a.len());
    let pieces = values.par_chunks_mut(GRAIN).zip(a.par_chunks(GRAIN));
    pieces.zip(b.par_chunks(GRAIN)).for_each(|((out, a), b)| {
        vectorized(|| zip_into(out, a, b, &f));
    });
    initialized(values)
}

/// As [`zip`], with a function for each channel of two `[N, C, plane]` arrays.
///
/// `f(channel)` also gives what is to be kept of the channel: it typically reads the
/// channel once, and its values are then still in the cache.
pub(crate) fn zip_channels<S: Send, G: Fn(f32, f32) -> f32>(
    (a, b): (&[f32], &[f32]),
    (channels, plane): (usize, usize),
    f: impl Fn(usize) -> (S, G) + Sync,
) -> (Vec<f32>, Vec<S>) {
    assert_eq!(a.len(), b.len(), "tensors of one shape");
    let mut values = Box::new_uninit_slice(a.len());
    let mut outputs: Vec<Vec<&mut [MaybeUninit<f32>]>> = Vec::new();
    outputs.resize_with(channels, Vec::new);
    for (i, out) in values.chunks_mut(plane.max(1)).enumerate() {
        outputs[i % channels].push(out);
    }
    let kept = outputs.into_par_iter().enumerate().map(|(channel, outputs)| {
        let (kept, g) = f(channel);
        vectorized(|| {
            for (n, out) in outputs.into_iter().enumerate() {
                let at = (n * channels + channel) * plane;
                zip_into(out, &a[at..at + plane], &b[at..at + plane], &g);
            }
        });
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
        vectorized(|| write(i, values, others));
    });
    (initialized(values), initialized(others))
}

#[expect(clippy::inline_always, reason = "vectorized() reaches only what is inlined")]
#[inline(always)]
fn zip_into(
    out: &mut [MaybeUninit<f32>],
    a: &[f32],
    b: &[f32],
    f: &impl Fn(f32, f32) -> f32,
) {
    assert!(out.len() == a.len() && out.len() == b.len(), "chunks of one length");
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        o.write(f(*a, *b));
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
            zip_channels((&x, &x), (2, 2), |c| (c, move |a: f32, _| a * (c + 1) as f32));
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
