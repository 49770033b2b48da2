//! Explanation maps against segmentation masks.

use anyhow::{Result, ensure};
use artifact::{Evaluation, Pack, Pairs};
use explain::{Explainer, Status, Subject, Target, full_size};
use metrics::{Localisation, VOID};

/// How one explainer's maps localise the classes that are in the masks.
pub(crate) struct Localised {
    explainer: &'static str,
    found: Localisation,
    flat: u64,
    not_finite: u64,
}

/// Are the masks' values classes of the pack, if it has masks?
pub(crate) fn check_masks(pack: &Pack) -> Result<()> {
    for row in 0..pack.len() {
        let classes = pack.classes();
        let wrong = |&&pixel: &&u8| usize::from(pixel) > classes && pixel != VOID;
        let wrong = pack.mask(row).and_then(|mask| mask.iter().find(wrong));
        ensure!(
            wrong.is_none(),
            "{}: expected masks of 0 to {classes} and {VOID}, found {} at sample {row}",
            pack.path.display(),
            wrong.copied().unwrap_or_default(),
        );
    }
    Ok(())
}

impl Localised {
    /// No maps yet.
    pub(crate) fn new(explainer: &'static str, classes: usize) -> Self {
        Self { explainer, found: Localisation::new(classes), flat: 0, not_finite: 0 }
    }

    /// Explains every class in the mask of every image of a batch, and compares.
    ///
    /// A map that is flat marks nothing; it counts, as a failure to localise.
    pub(crate) fn add(
        &mut self,
        subject: &Subject<'_>,
        explainer: &dyn Explainer,
        pack: &Pack,
        rows: &[usize],
        batch_size: usize,
    ) -> Result<()> {
        let size = (pack.height(), pack.width());
        for pairs in pairs(pack, rows).chunks(batch_size) {
            let images: Vec<u32> = pairs.iter().map(|&(image, _)| image as u32).collect();
            let target: Vec<i64> = pairs.iter().map(|&(_, class)| class as i64).collect();
            let subject = subject.select(&images)?;
            let logits = subject.logits()?;
            let explained = subject.explain(explainer, logits, Target::Given(&target))?;

            let native = (explained.height, explained.width);
            for (i, &(image, class)) in pairs.iter().enumerate() {
                let row = rows[image];
                let map = match explained.status[i] {
                    Status::Ok => full_size(explained.map(i), native, size),
                    Status::Flat | Status::NotFinite => vec![0.0; size.0 * size.1],
                };
                self.flat += u64::from(explained.status[i] == Status::Flat);
                self.not_finite += u64::from(explained.status[i] == Status::NotFinite);
                let mask = pack.mask(row).expect("the pack has masks");
                self.found.add(row as u32, class, &map, mask);
            }
        }
        Ok(())
    }

    /// Adds the measures of all pairs, and of those of each class that occurs.
    ///
    /// `flat` and `not_finite` are the shares of the maps that mark nothing.
    pub(crate) fn report(&self, pack: &Pack, evaluation: &mut Evaluation) {
        let count = self.found.pairs().len() as u64;
        if count == 0 {
            tracing::warn!("no class is in any mask of {}", pack.path.display());
            return;
        }
        if self.flat + self.not_finite > 0 {
            tracing::warn!(
                "{}: of {count} maps {} are flat and {} not finite",
                self.explainer,
                self.flat,
                self.not_finite,
            );
        }
        let explainer = Some(self.explainer);
        for measure in self.found.all() {
            evaluation.push(measure.name, "all", explainer, measure.value, measure.count);
        }
        for (name, maps) in [("flat", self.flat), ("not_finite", self.not_finite)] {
            evaluation.push(name, "all", explainer, maps as f64 / count as f64, count);
        }
        for (class, name) in pack.meta.classes.iter().enumerate() {
            for measure in self.found.of_class(class) {
                let group = format!("class:{name}");
                evaluation.push(
                    measure.name,
                    &group,
                    explainer,
                    measure.value,
                    measure.count,
                );
            }
        }
    }

    /// The table of pairs.
    pub(crate) fn pairs(&self, pack: &Pack) -> Pairs {
        let mut table = Pairs::default();
        for pair in self.found.pairs() {
            table.sample.push(pair.sample);
            table.class.push(pack.meta.classes[pair.class].clone());
            table.intersection.push(pair.overlap.intersection);
            table.union.push(pair.overlap.union);
            table.map_area.push(pair.overlap.map_area);
            table.mask_area.push(pair.overlap.mask_area);
        }
        table
    }
}

/// Position in the batch and class, of each class in each mask.
fn pairs(pack: &Pack, rows: &[usize]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (image, &row) in rows.iter().enumerate() {
        let mut present = vec![false; pack.classes()];
        for &pixel in pack.mask(row).unwrap_or_default() {
            if pixel != 0 && pixel != VOID {
                present[usize::from(pixel) - 1] = true;
            }
        }
        let classes = (0..present.len()).filter(|&class| present[class]);
        pairs.extend(classes.map(|class| (image, class)));
    }
    pairs
}
