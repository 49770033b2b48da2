//! What a position reads, laid out as one row: a patch of the input.

use std::ops::Range;

use super::lattice::{Lattice, Position};

/// The values under the taps of each position, tap by tap, with the channels of one group.
pub(super) struct Patches<'a> {
    lattice: &'a Lattice,
    values: &'a [f32],
    /// Values of a pixel.
    pitch: usize,
    /// The first channel of the group, and their number.
    first: usize,
    channels: usize,
    stretches: Vec<Stretch>,
}

/// Neighbouring values of a row of pixels: those of a tap, or of several beside each other.
struct Stretch {
    row: isize,
    /// Values from the pixel of the position.
    offset: isize,
    len: usize,
}

impl<'a> Patches<'a> {
    /// `values` has `pitch` channels a pixel, of which `channels` belong to `group`.
    pub(super) fn new(
        lattice: &'a Lattice,
        values: &'a [f32],
        (pitch, channels, group): (usize, usize, usize),
    ) -> Self {
        let mut stretches: Vec<Stretch> = Vec::new();
        for tap in &lattice.taps {
            let offset = tap.column * pitch as isize;
            match stretches.last_mut() {
                Some(last)
                    if last.row == tap.row
                        && last.offset + last.len as isize == offset
                        && channels == pitch =>
                {
                    last.len += channels;
                }
                _ => stretches.push(Stretch { row: tap.row, offset, len: channels }),
            }
        }
        Self { lattice, values, pitch, first: group * channels, channels, stretches }
    }

    /// The patches as they lie, if they are whole pixels in their order: rows of
    /// as many values.
    pub(super) fn in_place(&self) -> Option<&'a [f32]> {
        let whole = self.channels == self.pitch && self.lattice.is_identity();
        whole.then_some(self.values)
    }

    /// Copies `columns` of the patches of some positions to rows of `rows`, `width` apart,
    /// with zeros for what is outside of the image.
    pub(super) fn gather(
        &self,
        positions: Range<usize>,
        columns: Range<usize>,
        rows: &mut [f32],
        width: usize,
    ) {
        let mut position = self.lattice.position(positions.start);
        for row in rows.chunks_mut(width).take(positions.len()) {
            self.copy(position, columns.clone(), &mut row[..columns.len()]);
            position = self.lattice.next(position);
        }
    }

    fn copy(&self, position: Position, columns: Range<usize>, out: &mut [f32]) {
        let from = self.lattice.from;
        let (height, width) = (from.size.0 as isize, (from.size.1 * self.pitch) as isize);
        let at = (position.column * from.step.1 * self.pitch + self.first) as isize;
        let mut column = 0;
        for stretch in &self.stretches {
            let wanted = column.max(columns.start)..(column + stretch.len).min(columns.end);
            if !wanted.is_empty() {
                let out =
                    &mut out[wanted.start - columns.start..wanted.end - columns.start];
                let row = (position.row * from.step.0) as isize + stretch.row;
                if (0..height).contains(&row) {
                    let line = position.image as isize * height + row;
                    let line = &self.values[(line * width) as usize..][..width as usize];
                    let start = at + stretch.offset + (wanted.start - column) as isize;
                    copy_inside(line, start, out);
                } else {
                    out.fill(0.0);
                }
            }
            column += stretch.len;
        }
    }
}

/// Copies what `line` has from `start` on, which may be before its beginning, and zeros
/// where it has nothing.
fn copy_inside(line: &[f32], start: isize, out: &mut [f32]) {
    let before = start.min(0).unsigned_abs().min(out.len());
    let start = start.max(0).unsigned_abs().min(line.len());
    let inside = (out.len() - before).min(line.len() - start);
    let (zeros, rest) = out.split_at_mut(before);
    let (copied, after) = rest.split_at_mut(inside);
    zeros.fill(0.0);
    copied.copy_from_slice(&line[start..start + inside]);
    after.fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::{Conv2d, geometry::Geometry};

    #[test]
    fn a_patch_has_zeros_outside_of_the_image() {
        // two channels of 2 x 2 pixels, value 10 pixel + channel; a kernel of 2 x 3
        let x = [0f32, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0];
        let conv = Conv2d { padding: (0, 1), ..Conv2d::default() };
        let geometry = Geometry::new(&[1, 2, 2, 2], &[1, 2, 2, 3], None, conv).unwrap();
        let lattice = Lattice::forward(&geometry);
        let patches = Patches::new(&lattice, &x, (2, 2, 0));
        let mut rows = [9f32; 26];
        patches.gather(0..2, 0..12, &mut rows, 13);
        let first = [0f32, 0.0, 0.0, 1.0, 10.0, 11.0, 0.0, 0.0, 20.0, 21.0, 30.0, 31.0];
        let second = [0f32, 1.0, 10.0, 11.0, 0.0, 0.0, 20.0, 21.0, 30.0, 31.0, 0.0, 0.0];
        assert_eq!(rows[..12], first);
        assert_eq!(rows[13..25], second);
        // a part of the columns
        patches.gather(1..2, 3..8, &mut rows, 5);
        assert_eq!(rows[..5], second[3..8]);
        // one channel of the two
        let one = Patches::new(&lattice, &x, (2, 1, 1));
        one.gather(0..1, 0..6, &mut rows, 6);
        assert_eq!(rows[..6], [0.0, 1.0, 11.0, 0.0, 21.0, 31.0]);
    }
}
