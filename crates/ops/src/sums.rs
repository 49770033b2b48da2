//! Sums over pixels, channel by channel, in an order that does not depend on the machine.

#![expect(
    clippy::inline_always,
    reason = "code that is not inlined does not see the instruction set that was chosen"
)]

use crate::{
    shared::chunks_mut,
    simd::{Loop, vectorized},
};

/// Channels whose sums are kept side by side, in vector registers. The more, the longer are the
/// stretches of memory that are read at a time.
const LANES: usize = 64;
/// The same of channels that are left over, and of those that still are.
const FEWER: [usize; 2] = [16, 8];
/// Pixels whose sum is taken in f32, which would lose digits over more.
const SHORT: usize = 8;
/// Pixels that are summed at a time, at least: many against the cost of their sums.
const PIXELS: usize = 64;
/// Values that are summed at a time, at least: many against the cost of a task.
const VALUES: usize = 1 << 14;

/// Both components of `Σ f([a_i, b_i, …], [p_c, …])` for each channel `c`, over the arrays'
/// pixels of `channels` values and the channel's parameters: a few pixels in f32, all of
/// these sums in f64.
pub(crate) fn per_channel<const N: usize, const M: usize>(
    arrays: [&[f32]; N],
    parameters: [&[f32]; M],
    channels: usize,
    f: impl Fn([f32; N], [f32; M]) -> (f32, f32) + Copy + Sync,
) -> Vec<(f64, f64)> {
    let len = arrays[0].len();
    assert!(arrays.iter().all(|array| array.len() == len), "tensors of one shape");
    assert!(parameters.iter().all(|p| p.len() == channels), "parameters of one shape");
    assert!(len.is_multiple_of(channels), "whole pixels");
    if channels == 0 {
        return Vec::new();
    }
    // a function of the number of channels alone, and so is the order of the sums
    let size = PIXELS.max(VALUES / channels) * channels;
    let mut blocks = vec![0f64; len.div_ceil(size) * 2 * channels];
    chunks_mut(&mut blocks, 2 * channels, |i, sums| {
        let (first, second) = sums.split_at_mut(channels);
        let arrays = arrays.map(|array| &array[i * size..len.min((i + 1) * size)]);
        vectorized(Block { first, second, arrays, parameters, f });
    });
    let mut sums = vec![0f64; 2 * channels];
    for block in blocks.chunks_exact(2 * channels) {
        sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
    }
    let (first, second) = sums.split_at(channels);
    first.iter().copied().zip(second.iter().copied()).collect()
}

/// Adds what some pixels have to the sums of the channels.
struct Block<'a, F, const N: usize, const M: usize> {
    first: &'a mut [f64],
    second: &'a mut [f64],
    arrays: [&'a [f32]; N],
    parameters: [&'a [f32]; M],
    f: F,
}

impl<F, const N: usize, const M: usize> Loop for Block<'_, F, N, M>
where
    F: Fn([f32; N], [f32; M]) -> (f32, f32) + Copy,
{
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let pixels = self.arrays[0].len() / self.first.len();
        // all channels of a few pixels at a time: memory is read from front to back
        for start in (0..pixels).step_by(SHORT) {
            let pixels = (start, pixels.min(start + SHORT));
            let done = self.add::<LANES>(pixels, 0);
            let done = self.add::<{ FEWER[0] }>(pixels, done);
            let done = self.add::<{ FEWER[1] }>(pixels, done);
            self.add::<1>(pixels, done);
        }
    }
}

impl<F, const N: usize, const M: usize> Block<'_, F, N, M>
where
    F: Fn([f32; N], [f32; M]) -> (f32, f32) + Copy,
{
    /// Adds a few pixels of the channels from `channel` on, `L` channels at a time, and
    /// gives the first channel of the fewer that are left.
    #[inline(always)]
    fn add<const L: usize>(&mut self, pixels: (usize, usize), mut channel: usize) -> usize {
        let (channels, f) = (self.first.len(), self.f);
        while channel + L <= channels {
            let parameters = self.parameters.map(|values| &values[channel..channel + L]);
            let (mut u, mut v) = ([0f32; L], [0f32; L]);
            for pixel in pixels.0..pixels.1 {
                let at = pixel * channels + channel;
                let arrays = self.arrays.map(|values| &values[at..at + L]);
                for i in 0..L {
                    let values = arrays.map(|values| values[i]);
                    let (a, b) = f(values, parameters.map(|values| values[i]));
                    u[i] += a;
                    v[i] += b;
                }
            }
            let first = &mut self.first[channel..channel + L];
            let second = &mut self.second[channel..channel + L];
            for i in 0..L {
                first[i] += f64::from(u[i]);
                second[i] += f64::from(v[i]);
            }
            channel += L;
        }
        channel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_any_number_of_pixels_and_channels_is_exact() {
        for (channels, pixels) in
            [(1u16, 0u16), (1, 7), (3, 8), (8, 9), (64, 1), (24, 100), (105, 1000)]
        {
            // the number of the pixel, and that of the channel
            let values = (0..pixels).flat_map(|p| (0..channels).map(move |c| p + c));
            let x: Vec<f32> = values.map(f32::from).collect();
            let parameter: Vec<f32> = (0..channels).map(f32::from).collect();
            let sums =
                per_channel([&x], [&parameter], channels.into(), |[x], [c]| (x - c, c));
            let n = f64::from(pixels);
            let expected = |c: u16| (n * (n - 1.0) / 2.0, n * f64::from(c));
            assert_eq!(sums, (0..channels).map(expected).collect::<Vec<_>>());
        }
    }

    #[test]
    fn arrays_are_read_at_the_same_places() {
        // two pixels of two channels
        let (x, y) = ([1f32, 2.0, 3.0, 4.0], [10f32, 20.0, 30.0, 40.0]);
        let sums = per_channel([&x, &y], [], 2, |[x, y], []| (x + y, y - x));
        assert_eq!(sums, [(44.0, 36.0), (66.0, 54.0)]);
        assert!(per_channel([&[]], [], 0, |[x], []| (x, x)).is_empty());
    }

    #[test]
    fn a_sum_does_not_depend_on_the_threads() {
        let x: Vec<f32> = (0..300_000).map(|i| 1.0 / (i as f32 + 1.0)).collect();
        let sums = || per_channel([&x], [], 20, |[x], []| (x, x * x));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(sums), sums());
    }
}
