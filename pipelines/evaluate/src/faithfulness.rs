//! How faithful maps are to the network: what it says once the places they name are changed.

use anyhow::{Result, ensure};
use artifact::{Evaluation, LabelKind};
use candle_core::Tensor;
use explain::{Explanation, Status, Subject, Target, full_size};
use metrics::Faithfulness;
use models::Mode;
use ops::{Node, softmax};
use rayon::prelude::*;

use crate::{
    measure::Measuring,
    perturbed::{Perturbed, confidences},
};

/// How faithful the maps of one explainer are.
pub(crate) struct Faithful {
    explainer: &'static str,
    found: Faithfulness,
    maps: u64,
    flat: u64,
    not_finite: u64,
}

impl Measuring<'_> {
    /// Explains the predicted class of every image by each method, and changes the image
    /// along the map.
    ///
    /// # Errors
    ///
    /// Also if a logit of a changed image is not finite.
    pub(crate) fn faithfulness(&self, seed: u64) -> Result<Vec<Faithful>> {
        let new = |name| Faithful {
            explainer: name,
            found: Faithfulness::default(),
            maps: 0,
            flat: 0,
            not_finite: 0,
        };
        let mut all: Vec<_> = self.explainers.iter().map(|e| new(e.name())).collect();
        let maps = self.pack.len() * all.len();
        let progress = self.stage.progress(maps as u64, "faithfulness of maps");
        let rows: Vec<usize> = (0..self.pack.len()).collect();
        for rows in rows.chunks(self.batch_size) {
            let images = performer::image_batch(self.pack, rows, self.network.device())?;
            let subject = Subject::new(self.network, self.tap, &Node::from(&images))?;
            let pixels = ops::host(&images)?;
            let pixels = pixels.chunks_exact(pixels.len() / rows.len());
            for (faithful, explainer) in all.iter_mut().zip(&self.explainers) {
                self.stage.check()?;
                let logits = subject.logits()?;
                let explained = ops::threads::run(|| {
                    subject.explain(explainer.as_ref(), logits, Target::Predicted)
                })?;
                for (i, (&row, pixels)) in rows.iter().zip(pixels.clone()).enumerate() {
                    self.stage.check()?;
                    self.changed(faithful, &explained, i, pixels, (seed, row))?;
                    progress.inc(1);
                }
            }
        }
        Ok(all)
    }

    /// Adds the map of an image of the batch.
    fn changed(
        &self,
        faithful: &mut Faithful,
        explained: &Explanation,
        i: usize,
        pixels: &[f32],
        (seed, row): (u64, usize),
    ) -> Result<()> {
        faithful.maps += 1;
        match explained.status[i] {
            Status::Ok => {}
            Status::Flat => faithful.flat += 1,
            Status::NotFinite => faithful.not_finite += 1,
        }
        if explained.status[i] != Status::Ok {
            return Ok(());
        }
        let size = (self.pack.height(), self.pack.width());
        let map = full_size(explained.map(i), (explained.height, explained.width), size);
        let colour = self.network.normalization().mean;
        let perturbed = Perturbed::new(pixels, size, &map, colour, (seed, row as u64));

        let class = explained.predicted[i] as usize;
        let classes = self.pack.classes();
        let before = self.confidence(&explained.logits[i * classes..][..classes], class);
        let mut said = Vec::with_capacity(Perturbed::count());
        let numbers: Vec<usize> = (0..Perturbed::count()).collect();
        for numbers in numbers.chunks(self.batch_size) {
            // one at a time: imputing takes longer than the others do together
            let images = numbers.par_iter().with_max_len(1);
            let images: Vec<Vec<f32>> =
                images.map(|&number| perturbed.image(number)).collect();
            let shape = (images.len(), 3, size.0, size.1);
            let images = Tensor::from_vec(images.concat(), shape, self.network.device())?;
            let forward = || self.network.forward(&Node::from(&images), Mode::Eval);
            let logits = ops::host(ops::threads::run(forward)?.tensor())?;
            let z = logits.iter().find(|z| !z.is_finite()).copied();
            ensure!(
                z.is_none(),
                "{} cannot be evaluated on {}: expected finite logits, found {} at sample {row}, \
                 changed along its map",
                self.model.display(),
                self.pack.path.display(),
                z.unwrap_or_default(),
            );
            let of_images = logits.chunks_exact(classes);
            said.extend(of_images.map(|logits| self.confidence(logits, class)));
        }
        faithful.found.add(&confidences(before, &said));
        Ok(())
    }

    /// The probability of the class.
    fn confidence(&self, logits: &[f32], class: usize) -> f32 {
        match self.pack.meta.labels {
            LabelKind::Single => softmax::softmax(logits)[class],
            LabelKind::Multi => softmax::sigmoid(logits[class]),
        }
    }
}

impl Faithful {
    /// Adds the measures of all maps that say something, and the shares of those that do not.
    pub(crate) fn report(&self, evaluation: &mut Evaluation) {
        let explainer = Some(self.explainer);
        if self.flat + self.not_finite > 0 {
            tracing::warn!(
                "{}: of {} maps {} are flat and {} not finite; faithfulness is that of the rest",
                self.explainer,
                self.maps,
                self.flat,
                self.not_finite,
            );
        }
        for measure in self.found.measures() {
            evaluation.push(measure.name, "all", explainer, measure.value, measure.count);
        }
        let counts = [
            ("faithfulness_flat", self.flat),
            ("faithfulness_not_finite", self.not_finite),
        ];
        for (name, maps) in counts {
            evaluation.push(
                name,
                "all",
                explainer,
                maps as f64 / self.maps as f64,
                self.maps,
            );
        }
    }
}
