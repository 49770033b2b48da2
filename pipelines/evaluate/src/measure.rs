//! One pass over the pack, batch by batch.

use std::{num::NonZeroUsize, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use artifact::Pack;
use candle_core::Tensor;
use explain::{Explainer, Subject, Target};
use models::{Network, Tap};
use ops::Node;
use performer::ImageBatches;
use stage::Stage;

use crate::{localise::Localised, predicted_maps::PredictedMaps};

/// What is measured, and how.
pub(crate) struct Measuring<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) pack: &'a Arc<Pack>,
    pub(crate) network: &'a Network,
    pub(crate) model: &'a Path,
    pub(crate) tap: &'a Tap,
    pub(crate) explainers: Vec<Box<dyn Explainer>>,
    pub(crate) predicted_maps: bool,
    pub(crate) batch_size: usize,
}

/// What the pass found.
pub(crate) struct Measured {
    /// `[N, K]`.
    pub(crate) logits: Vec<f32>,
    /// One an explainer; none if the pack has no masks.
    pub(crate) localised: Vec<Localised>,
    pub(crate) maps: Option<PredictedMaps>,
}

/// The methods of these names, each once.
pub(crate) fn explainers(
    names: &[String],
    at_a_time: NonZeroUsize,
) -> explain::Result<Vec<Box<dyn Explainer>>> {
    let first = |&(i, name): &(usize, &String)| !names[..i].contains(name);
    let once = names.iter().enumerate().filter(first);
    once.map(|(_, name)| explain::by_name(name, None, at_a_time)).collect()
}

impl Measuring<'_> {
    /// Runs the network over the pack and explains it.
    ///
    /// # Errors
    ///
    /// Also if a logit is not finite: nothing that is measured would mean anything.
    pub(crate) fn run(&self) -> Result<Measured> {
        let classes = self.pack.classes();
        let localised = if self.pack.has_masks() { &self.explainers[..] } else { &[] };
        let mut measured = Measured {
            logits: Vec::with_capacity(self.pack.len() * classes),
            localised: localised
                .iter()
                .map(|e| Localised::new(e.name(), classes))
                .collect(),
            maps: None,
        };
        let progress = self.stage.progress(self.pack.len() as u64, "images");
        let all: Vec<usize> = (0..self.pack.len()).collect();
        let plan = all.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        for (rows, images) in
            ImageBatches::new(Arc::clone(self.pack), plan, self.network.device())
        {
            self.stage.check()?;
            let done = ops::threads::run(|| self.batch(&rows, &images?, &mut measured));
            stage::in_batches_of(self.batch_size, "--batch-size", done)?;
            progress.inc(rows.len() as u64);
        }
        Ok(measured)
    }

    fn batch(
        &self,
        rows: &[usize],
        images: &Tensor,
        measured: &mut Measured,
    ) -> Result<()> {
        let subject = Subject::new(self.network, self.tap, &Node::from(images))?;
        let logits = subject.logits()?;
        for (row, logits) in rows.iter().zip(logits.chunks_exact(self.pack.classes())) {
            let z = logits.iter().find(|z| !z.is_finite()).copied();
            ensure!(
                z.is_none(),
                "{} cannot be evaluated on {}: expected finite logits, found {} at sample {row}",
                self.model.display(),
                self.pack.path.display(),
                z.unwrap_or_default(),
            );
        }

        for (localised, explainer) in measured.localised.iter_mut().zip(&self.explainers) {
            localised.add(
                &subject,
                explainer.as_ref(),
                self.pack,
                rows,
                self.batch_size,
            )?;
        }
        if let (true, Some(explainer)) = (self.predicted_maps, self.explainers.first()) {
            let explanation =
                subject.explain(explainer.as_ref(), logits.clone(), Target::Predicted)?;
            let maps =
                measured.maps.get_or_insert_with(|| PredictedMaps::new(explainer.name()));
            maps.add(explanation);
        }
        measured.logits.extend(logits);
        Ok(())
    }
}
