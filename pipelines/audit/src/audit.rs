//! The pass over the pack, batch by batch.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use artifact::{Labels, Maps, MapsMeta, Pack, Scores};
use attack::Directions;
use candle_core::Tensor;
use consistency::{Psi, Reduction};
use explain::{Explainer, Explanation, Status, Subject, TargetKind};
use models::{Network, Tap};
use ops::Node;
use performer::ImageBatches;
use scores::Perturbed;
use stage::Stage;

use crate::{
    labels,
    perturb::{Correct, Disturbance, Part},
};

/// What is audited, and how.
pub(crate) struct Audit<'a> {
    pub(crate) pack: &'a Arc<Pack>,
    /// Which of its images have a label that is known.
    pub(crate) labelled: Vec<bool>,
    /// The model's file.
    pub(crate) model: &'a Path,
    pub(crate) network: &'a Network,
    pub(crate) tap: &'a Tap,
    pub(crate) explainer: &'a dyn Explainer,
    pub(crate) target: TargetKind,
    pub(crate) disturbance: Disturbance,
    /// Where.
    pub(crate) part: Part,
    pub(crate) psi: Psi,
    pub(crate) reduction: Reduction,
    /// What the clean maps would say of themselves in a file.
    pub(crate) meta: MapsMeta,
}

impl Audit<'_> {
    /// The rows of every image of the pack, in its order; nothing else of a batch stays in
    /// memory.
    pub(crate) fn run(&self, batch_size: usize, stage: &Stage) -> Result<Scores> {
        let progress = stage.progress(self.pack.len() as u64, "images");
        let all: Vec<usize> = (0..self.pack.len()).collect();
        let mut judged = Scores::default();
        let plan = all.chunks(batch_size).map(<[usize]>::to_vec).collect();
        for (rows, images) in
            ImageBatches::new(Arc::clone(self.pack), plan, self.network.device())
        {
            stage.check()?;
            let found = ops::threads::run(|| self.batch(&rows, &images?));
            judged.append(stage::in_batches_of(batch_size, "--batch-size", found)?);
            progress.inc(rows.len() as u64);
        }
        Ok(judged)
    }

    /// What was computed on the way to the logits is kept for the attack while the clean maps are
    /// made: methods that go back to the pixels need as much again.
    fn batch(&self, rows: &[usize], images: &Tensor) -> Result<Scores> {
        let mut subject = Subject::new(self.network, self.tap, &Node::variable(images))?;
        let logits = subject.logits()?;
        let labels = self.labels(rows, &logits);
        let correct = Correct::of(rows, &labels, &logits, self.pack.classes());
        let masking = match self.disturbance {
            Disturbance::Attack { .. } => None,
            Disturbance::Masking(masking) => Some(Directions::Masking(masking)),
        };
        if masking.is_none() && !correct.rows.is_empty() {
            let rows = correct.positions.iter().map(|&i| i as u32).collect();
            subject = subject.going_back(rows, self.by_logits(&logits, &correct)?);
        }
        let clean = subject.predict_and_explain(self.explainer, self.target, |logits| {
            labels::classes(&labels, logits, self.pack.classes())
        })?;

        let perturbed = if correct.rows.is_empty() {
            None
        } else {
            // the way back through the network is freed before it is gone through again
            let directions = match masking {
                Some(masking) => masking,
                None => Directions::Signs(self.signs(subject, images, &correct)?),
            };
            let pixels = self.perturbed(&clean, &correct, images, &directions)?;
            let subject = Subject::new(self.network, self.tap, &Node::from(&pixels))?;
            let explanation =
                subject.predict_and_explain(self.explainer, self.target, |_| {
                    correct.positions.iter().map(|&i| clean.target[i]).collect()
                })?;
            Some(self.maps(&correct.rows, correct.labels, explanation))
        };

        let clean = self.maps(rows, labels, clean);
        let perturbed = perturbed.as_ref().map(Perturbed::new);
        let every = 0..clean.len();
        Ok(scores::table(&clean, perturbed.as_ref(), every, self.psi, self.reduction))
    }

    /// The explanation of these rows of the pack, as `explain` would write it.
    fn maps(&self, rows: &[usize], labels: Labels, explanation: Explanation) -> Maps {
        Maps {
            meta: self.meta.clone(),
            height: explanation.height,
            width: explanation.width,
            maps: explanation.maps,
            classes: self.pack.classes(),
            logits: explanation.logits,
            predicted: explanation.predicted,
            target: explanation.target,
            labels,
            sample: rows.iter().map(|&row| row as u32).collect(),
            status: explanation.status.into_iter().map(Status::code).collect(),
            provenance: None,
        }
    }
}
