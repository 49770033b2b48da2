//! The flat layout: rows at a fixed pitch, zeros between them, image after image.
//!
//! Element `(n, j, i)` of a channel's phase lies at `n * pitch.image + j * pitch.row + i`.
//! The zeros between rows and between images are shared by both neighbours, hence a
//! 3 x 3 kernel with padding 1 costs one element a row and one row an image.

#![expect(unsafe_code, reason = "threads fill disjoint parts of one allocation")]

use rayon::prelude::*;

use super::{
    geometry::Pitch,
    kernel::{MAX_LANES, VECTORS},
    shared::Shared,
};

/// What is laid out, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) batch: usize,
    pub(super) channels: usize,
    /// Height and width of a plane.
    pub(super) size: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) phases: &'a [(usize, usize)],
    pub(super) pitch: Pitch,
    /// Farthest that a tap reads from its position.
    pub(super) reach: usize,
}

/// Copy of a batch `[N, C, H, W]` in the flat layout.
#[derive(Debug, Default)]
pub(super) struct Flat {
    values: Vec<f32>,
    origin: usize,
    /// Elements from a phase to the next.
    pub(super) phase: usize,
    /// Elements from a channel to the next.
    pub(super) channel: usize,
}

impl Flat {
    /// Lays out `x` on all threads.
    pub(super) fn new(x: &[f32], source: &Source<'_>) -> Self {
        let mut flat = Self::default();
        let (batch, channels) = (source.batch, source.channels);
        let len = flat.reserve(source);
        let values = Shared::new(flat.values.as_mut_ptr());
        let plane = source.size.0 * source.size.1;
        if source.pitch.is_interleaved() {
            (0..channels).into_par_iter().for_each(|c| {
                // SAFETY: the parts of two jobs do not overlap.
                unsafe { flat_channel(source, &flat, x, c, values) };
            });
            // SAFETY: `flat_channel` writes all that belongs to a channel, the first one
            // also what lies before it, the last one what lies behind.
            unsafe { flat.values.set_len(len) };
            return flat;
        }
        (0..channels * batch).into_par_iter().with_min_len(4).for_each(|job| {
            let (c, n) = (job / batch, job % batch);
            let plane = &x[(n * channels + c) * plane..][..plane];
            // SAFETY: the parts of two jobs do not overlap.
            unsafe { flat_plane(source, &flat, plane, (c, n), values) };
        });
        // SAFETY: the jobs above have written all `len` elements: `flat_plane` writes the
        // whole pitch of an image, the first one also what lies before it, the last one
        // what lies behind.
        unsafe { flat.values.set_len(len) };
        flat
    }

    /// Makes room and sets the distances; returns the number of elements.
    fn reserve(&mut self, source: &Source<'_>) -> usize {
        // the last block of vectors may begin at the last position
        let tail = source.reach + (VECTORS + 1) * MAX_LANES;
        let span = source.pitch.total + source.reach + tail;
        // An odd number of cache lines: at a power of two all channels would compete for
        // the same few places of the cache.
        self.phase = (span.div_ceil(LINE) | 1) * LINE;
        self.channel = self.phase * source.phases.len();
        let len = self.channel * source.channels + LINE;
        self.values.clear();
        self.values.reserve_exact(len);
        let aligned = self.values.as_ptr().align_offset(LINE * size_of::<f32>());
        let aligned = if aligned < LINE { aligned } else { 0 };
        self.origin = source.reach.next_multiple_of(LINE) + aligned;
        len
    }

    /// First position of a phase of a channel.
    pub(super) fn at(&self, channel: usize, phase: usize) -> *const f32 {
        self.values[self.origin + channel * self.channel + phase * self.phase..].as_ptr()
    }
}

/// Elements of a cache line.
const LINE: usize = 16;

/// Copies plane `n` of channel `c` and the zeros around it.
///
/// # Safety
///
/// `values` has room for the layout that `flat` describes and nobody else writes to the
/// part of this plane.
unsafe fn flat_plane(
    source: &Source<'_>,
    flat: &Flat,
    plane: &[f32],
    (c, n): (usize, usize),
    values: Shared<'_>,
) {
    let (height, width) = source.size;
    let Pitch { row, image, .. } = source.pitch;
    let last_channel = c + 1 == source.channels;
    for (index, &(ry, rx)) in source.phases.iter().enumerate() {
        let base = c * flat.channel + index * flat.phase;
        let begin = flat.origin + base + n * image;
        let last_phase = index + 1 == source.phases.len();
        // Before the first image of the first phase and behind the last image of each.
        let before = if n > 0 {
            0
        } else if c == 0 && index == 0 {
            flat.origin
        } else {
            0
        };
        let behind = if n + 1 < source.batch {
            0
        } else if last_channel && last_phase {
            flat.channel * source.channels + LINE - (begin + image)
        } else {
            flat.origin + base + flat.phase - (begin + image)
        };
        // SAFETY: room for these elements, as the caller promises.
        let part = unsafe { values.slice(begin - before, before + image + behind) };
        part[..before].fill(0.0);
        let (body, rest) = part[before..].split_at_mut(image);
        rest.fill(0.0);
        if source.stride == (1, 1) && row == width {
            // no zeros between the rows
            let (pixels, below) = body.split_at_mut(plane.len());
            pixels.copy_from_slice(plane);
            below.fill(0.0);
            continue;
        }
        let mut rows = body.chunks_exact_mut(row);
        for y in (ry..height).step_by(source.stride.0) {
            let from = &plane[y * width..][..width];
            let Some(to) = rows.next() else { break };
            let len = take(from, rx, source.stride.1, to);
            to[len..].fill(0.0);
        }
        for to in rows {
            to.fill(0.0);
        }
    }
}

/// Copies channel `c` of all images, interleaved, and the zeros around it.
///
/// # Safety
///
/// As for [`flat_plane`].
unsafe fn flat_channel(
    source: &Source<'_>,
    flat: &Flat,
    x: &[f32],
    c: usize,
    values: Shared<'_>,
) {
    let (height, width) = source.size;
    let first = if c == 0 { 0 } else { flat.origin + c * flat.channel };
    let last = if c + 1 == source.channels { LINE } else { flat.origin };
    let end = (c + 1) * flat.channel + last;
    // SAFETY: room for these elements, as the caller promises.
    let part = unsafe { values.slice(first, end - first) };
    part.fill(0.0);
    let part = &mut part[flat.origin + c * flat.channel - first..];
    for (index, &(ry, rx)) in source.phases.iter().enumerate() {
        for (j, y) in (ry..height).step_by(source.stride.0).enumerate() {
            for (i, x_at) in (rx..width).step_by(source.stride.1).enumerate() {
                let to = index * flat.phase + j * source.pitch.row + i * source.pitch.pixel;
                let pixel = (c * height + y) * width + x_at;
                let from = x[pixel..].iter().step_by(source.channels * height * width);
                for (to, from) in part[to..to + source.batch].iter_mut().zip(from) {
                    *to = *from;
                }
            }
        }
    }
}

/// Copies every `stride`-th element from `first` on; returns their number.
fn take(from: &[f32], first: usize, stride: usize, to: &mut [f32]) -> usize {
    if stride == 1 {
        to[..from.len()].copy_from_slice(from);
        return from.len();
    }
    let len = from.len().saturating_sub(first).div_ceil(stride);
    for (to, from) in
        to[..len].iter_mut().zip(from.get(first..).unwrap_or(&[]).iter().step_by(stride))
    {
        *to = *from;
    }
    len
}
