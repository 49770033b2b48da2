//! The gradient of the weights: what every tap reads, times the gradient of the result.

#![expect(unsafe_code, reason = "the sums are written once, by several threads")]

use core::ops::Range;

use super::{
    geometry::Geometry,
    kernel::{Block, FEWER, MORE, PITCH, Product, Rows, multiply},
    lattice::Lattice,
    patch::Patches,
    scratch::Scratch,
};
use crate::{
    map,
    shared::{Shared, filled},
    threads,
    turn::Matrix,
};

/// Positions that are summed at a time.
const POSITIONS: usize = 128;
/// Values of a patch that a task takes.
const COLUMNS: usize = 256;
const _: () = assert!(COLUMNS <= PITCH, "room for a part of a patch");
/// Rows that are a multiple of this apart push each other out of the first-level cache.
const ALIAS: usize = 512;
/// Tasks from which on the positions are not shared among more, and the least that a task has.
const TASKS: usize = 16;
const SHARE: usize = 1024;
/// So many tasks a thread that one more or less does not matter.
const MANY: usize = 8;

/// `dw[o, c, k] = sum over images and positions of dy[o] * x[c]`, the latter under tap `k`.
pub(super) fn backward_weight(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let lattice = Lattice::forward(geometry);
    let sums = Sums::new(geometry, &lattice, x, dy);
    let &Geometry { inputs, outputs, groups, .. } = geometry;
    let (elements, row) = (geometry.elements(), geometry.elements() * inputs);
    let size = groups * outputs * row;
    // SAFETY: each task writes its columns of all rows of its share.
    let parts = unsafe { filled(sums.shares * size, |out| sums.write(out)) };
    if elements == 1 && sums.shares == 1 {
        return parts;
    }
    let places: Vec<usize> = (0..inputs).map(|input| input * elements).collect();
    map::pieces(size, row, |output, dw| {
        let mut sum = parts[output * row..][..row].to_vec();
        for part in parts[size..].chunks_exact(size) {
            let part = &part[output * row..][..row];
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let sum = Matrix { values: &sum, pitch: inputs };
        sum.turn(elements, &places, dw);
    })
}

/// Whether all threads have about as much to do: at least two tasks each, and as many or many.
fn is_even(tasks: usize, threads: usize) -> bool {
    tasks >= MANY * threads || tasks >= 2 * threads && tasks.is_multiple_of(threads)
}

/// Sums `[share][group][output][value of a patch]`.
struct Sums<'a> {
    geometry: &'a Geometry,
    lattice: &'a Lattice,
    x: &'a [f32],
    dy: &'a [f32],
    /// Parts of the positions that are summed apart; a number that the sizes alone determine,
    /// so that the order of the sums does not depend on the threads.
    shares: usize,
    /// Values of a part of a patch: whole panels.
    width: usize,
    /// Outputs of a task: whole blocks of rows.
    rows: usize,
}

impl<'a> Sums<'a> {
    fn new(
        geometry: &'a Geometry,
        lattice: &'a Lattice,
        x: &'a [f32],
        dy: &'a [f32],
    ) -> Self {
        let block = Block::of_this_machine();
        let depth = geometry.elements() * geometry.inputs;
        let width = depth.div_ceil(depth.div_ceil(COLUMNS)).next_multiple_of(block.columns);
        let parts = geometry.groups * depth.div_ceil(width);
        let shares = TASKS.div_ceil(parts).clamp(1, lattice.positions().div_ceil(SHARE));
        // where these are few, each task has some of the outputs, which changes no sum
        let blocks = geometry.outputs.div_ceil(block.rows);
        let threads = rayon::current_num_threads();
        let even = |&each: &usize| is_even(parts * shares * blocks.div_ceil(each), threads);
        let rows = (1..=blocks).rev().find(even).unwrap_or(1) * block.rows;
        Self { geometry, lattice, x, dy, shares, width, rows }
    }

    /// # Safety
    ///
    /// `out` has room for all sums, and nobody else touches it.
    unsafe fn write(&self, out: Shared<'_>) {
        let &Geometry { inputs, outputs, groups, .. } = self.geometry;
        let depth = self.geometry.elements() * inputs;
        let positions = self.lattice.positions();
        let share = positions.div_ceil(self.shares);
        let (columns, pieces) = (depth.div_ceil(self.width), outputs.div_ceil(self.rows));
        let places: Vec<usize> = (0..self.rows).map(|output| output * depth).collect();
        let tasks = self.shares * groups * columns * pieces;
        threads::each(tasks, |task| {
            let (column, task) = (task % columns * self.width, task / columns);
            let (first, task) = (task % pieces * self.rows, task / pieces);
            let (part, group) = (task / groups, task % groups);
            let end = ((part + 1) * share).min(positions);
            let rows = first..(first + self.rows).min(outputs);
            // SAFETY: the room of this task alone, the columns of some outputs of one share and
            // group.
            unsafe {
                let out = out.pointer(((part * groups + group) * outputs + first) * depth);
                let places = &places[..rows.len()];
                let columns = column..(column + self.width).min(depth);
                self.task((out, places), group, part * share..end, rows, columns);
            }
        });
    }

    unsafe fn task(
        &self,
        (out, places): (*mut f32, &[usize]),
        group: usize,
        positions: Range<usize>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) {
        let &Geometry { inputs, outputs, groups, .. } = self.geometry;
        let block = Block::of_this_machine();
        let channels = (groups * inputs, inputs, group);
        let patches = Patches::new(self.lattice, self.x, channels);
        let mut gathered = Scratch::new(POSITIONS * PITCH);
        let mut packed = Scratch::new(rows.len().next_multiple_of(block.rows) * POSITIONS);
        let in_place = patches.in_place().filter(|_| !inputs.is_multiple_of(ALIAS));
        let width = inputs.next_multiple_of(block.lanes);
        let mut start = positions.start;
        loop {
            let end = (start + POSITIONS).min(positions.end);
            let count = end - start;
            // whole vectors are read, and behind the last position there may be nothing
            let inside = |values: &&[f32]| (end - 1) * inputs + width <= values.len();
            let (panels, panel_pitch) = if let Some(values) = in_place.filter(inside) {
                (values[start * inputs + columns.start..].as_ptr(), inputs)
            } else {
                patches.gather(start..end, columns.clone(), &mut gathered, PITCH);
                (gathered.as_ptr(), PITCH)
            };
            let dy = &self.dy[(start * groups + group) * outputs + rows.start..];
            pack(dy, (groups * outputs, rows.len(), count), block.rows, &mut packed);
            for column in (0..columns.len()).step_by(block.columns) {
                // SAFETY: all outputs' blocks have been packed; gathered rows are wide enough for
                // whole panels, and of those in place `inside` has seen that vectors end inside.
                unsafe {
                    multiply(Product {
                        rows: packed.as_ptr(),
                        lie: Rows::Turned,
                        panel: panels.add(column),
                        panel_pitch,
                        depth: count,
                        out: out.add(columns.start + column),
                        places,
                        columns: (columns.len() - column).min(block.columns),
                        adds: start > positions.start,
                        epilogue: None,
                    });
                }
            }
            if end == positions.end {
                return;
            }
            start = end;
        }
    }
}

/// Lays values that lie pixel by pixel as [`Rows::Turned`]: blocks of `rows` neighbouring
/// channels, `[block][position][channel]`, of `count` positions that are `pitch` values apart
/// and have `channels` each.
pub(super) fn pack(
    values: &[f32],
    sizes: (usize, usize, usize),
    rows: usize,
    out: &mut [f32],
) {
    // of a known size: not one call of a function for a few values
    match rows {
        MORE => pack_blocks::<MORE>(values, sizes, out),
        _ => pack_blocks::<FEWER>(values, sizes, out),
    }
}

fn pack_blocks<const ROWS: usize>(
    values: &[f32],
    (pitch, channels, count): (usize, usize, usize),
    out: &mut [f32],
) {
    let blocks = out.as_chunks_mut::<ROWS>().0.chunks_exact_mut(count);
    for (first, block) in (0..channels).step_by(ROWS).zip(blocks) {
        // beyond the channels there are others, of whose products nothing is kept, or nothing
        let full = (values.len() + pitch).saturating_sub(first + ROWS) / pitch;
        let (block, last) = block.split_at_mut(full.min(count));
        for (position, to) in block.iter_mut().enumerate() {
            *to = *values[first + position * pitch..].first_chunk().expect("it is full");
        }
        for (position, to) in last.iter_mut().enumerate() {
            let from = &values[first + (block.len() + position) * pitch..];
            to[..from.len()].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_even;

    #[test]
    fn work_is_even_if_each_thread_has_as_many_tasks_or_many() {
        assert!([1, 2, 3, 5, 9].iter().all(|&tasks| !is_even(tasks, 2)));
        assert!([4, 6, 16, 17].iter().all(|&tasks| is_even(tasks, 2)));
        assert!([2, 3].iter().all(|&tasks| is_even(tasks, 1)));
    }
}
