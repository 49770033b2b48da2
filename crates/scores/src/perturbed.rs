use std::collections::BTreeMap;

use artifact::Maps;

/// Maps of perturbed images, found by their samples.
#[derive(Clone, Debug)]
pub struct Perturbed<'a> {
    pub(crate) maps: &'a Maps,
    rows: BTreeMap<u32, usize>,
}

impl<'a> Perturbed<'a> {
    /// These maps.
    pub fn new(maps: &'a Maps) -> Self {
        Self { maps, rows: maps.sample.iter().copied().zip(0..).collect() }
    }

    /// The row of a sample's map, if it has one.
    pub fn row(&self, sample: u32) -> Option<usize> {
        self.rows.get(&sample).copied()
    }

    /// The samples that have a map, in their order, and the row of each.
    pub fn rows(&self) -> impl Iterator<Item = (u32, usize)> {
        self.rows.iter().map(|(&sample, &row)| (sample, row))
    }
}
