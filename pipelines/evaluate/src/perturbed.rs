//! An image as it is changed along its map.

use metrics::{
    CURVE_STEPS, Confidences, First, PERCENTILES, blurred, by_relevance, deleted, inserted,
    noisily_imputed, removed, shown,
};

/// A way to change an image.
#[derive(Clone, Copy, Debug)]
enum Change {
    Deletion(usize),
    Insertion(usize),
    Shown,
    Removal(First, u8),
}

/// An image, its map, and where the changes stand.
pub(crate) struct Perturbed<'a> {
    image: &'a [f32],
    size: (usize, usize),
    map: &'a [f32],
    order: Vec<usize>,
    blurred: Vec<f32>,
    /// Of what is deleted, the network's mean.
    colour: [f32; 3],
    /// What the noise of imputed pixels is drawn from, and the number of the image.
    noise: (u64, u64),
}

impl<'a> Perturbed<'a> {
    /// The image `[3, H, W]` with its map `[H, W]`.
    pub(crate) fn new(
        image: &'a [f32],
        size: (usize, usize),
        map: &'a [f32],
        colour: [f32; 3],
        noise: (u64, u64),
    ) -> Self {
        let (order, blurred) = (by_relevance(map), blurred(image, size));
        Self { image, size, map, order, blurred, colour, noise }
    }

    /// How many changed images there are.
    pub(crate) fn count() -> usize {
        changes().len()
    }

    /// The changed image of this number.
    pub(crate) fn image(&self, number: usize) -> Vec<f32> {
        match changes()[number] {
            Change::Deletion(step) => deleted(self.image, &self.colour, &self.order, step),
            Change::Insertion(step) => {
                inserted(self.image, &self.blurred, &self.order, step)
            }
            Change::Shown => shown(self.image, &self.colour, self.map),
            Change::Removal(first, percentile) => {
                let removed = removed(&self.order, first, percentile);
                let (seed, sample) = self.noise;
                let stream = sample * Self::count() as u64 + number as u64;
                noisily_imputed(self.image, self.size, &removed, seed, stream)
            }
        }
    }
}

/// What was said of the images, by their number.
///
/// Nothing changed is the first step of deletion and the last of insertion.
pub(crate) fn confidences(before: f32, said: &[f32]) -> Confidences {
    let mut found = Confidences { before, ..Confidences::default() };
    found.deletion.push(before);
    for (change, &p) in changes().into_iter().zip(said) {
        match change {
            Change::Deletion(_) => found.deletion.push(p),
            Change::Insertion(_) => found.insertion.push(p),
            Change::Shown => found.shown = p,
            Change::Removal(First::MostRelevant, _) => found.morf.push(p),
            Change::Removal(First::LeastRelevant, _) => found.lerf.push(p),
        }
    }
    found.insertion.push(before);
    found
}

/// The changes, in the order of their numbers.
fn changes() -> Vec<Change> {
    let removals = |first| PERCENTILES.map(|percentile| Change::Removal(first, percentile));
    let deletions = (1..=CURVE_STEPS).map(Change::Deletion);
    let insertions = (0..CURVE_STEPS).map(Change::Insertion);
    let mut changes: Vec<Change> = deletions.chain(insertions).collect();
    changes.push(Change::Shown);
    changes.extend(removals(First::MostRelevant));
    changes.extend(removals(First::LeastRelevant));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_goes_where_its_image_came_from() {
        let said: Vec<f32> = (0..Perturbed::count()).map(|i| i as f32).collect();
        let found = confidences(0.5, &said);
        assert_eq!(found.deletion.len(), CURVE_STEPS + 1);
        assert_eq!((found.deletion[0], found.deletion[1]), (0.5, 0.0));
        assert_eq!(found.insertion.len(), CURVE_STEPS + 1);
        assert_eq!((found.insertion[0], found.insertion[CURVE_STEPS]), (20.0, 0.5));
        assert_eq!(found.shown, 40.0);
        assert_eq!((found.morf[0], found.lerf[8]), (41.0, 58.0));
    }
}
