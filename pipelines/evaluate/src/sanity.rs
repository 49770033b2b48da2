//! Do maps depend on what the network has learnt? Cascading randomisation of its parameters
//! (Adebayo et al., "Sanity Checks for Saliency Maps", `NeurIPS` 2018, section 4.1).
//!
//! From the classifier backwards, block by block, parameters are replaced by those of a fresh
//! network, and the running statistics of batch normalisation by 0 and 1. A map that still
//! looks like the original one explains the image, not the network.

use anyhow::Result;
use artifact::Evaluation;
use explain::{Explanation, Status, Subject, Target};
use metrics::spearman;
use models::{Head, Network};
use ops::Node;

use crate::measure::Measuring;

/// How the maps of one explainer change as blocks are randomised.
pub(crate) struct Sanity {
    explainer: &'static str,
    /// In the order of their randomisation.
    layers: Vec<Layer>,
}

/// The maps of a network that is randomised from the classifier to this block.
#[derive(Clone)]
struct Layer {
    name: String,
    /// Sum and number of the rank correlations.
    sum: f64,
    count: u64,
    /// Maps that have none: they, or the original ones, are flat or not finite.
    without: u64,
}

impl Measuring<'_> {
    /// Compares each method's maps of the predicted classes with those of the same classes by
    /// the network with more and more random blocks.
    ///
    /// Batches are the outer loop, so that no more maps than a batch's are kept.
    pub(crate) fn sanity(&self, seed: u64) -> Result<Vec<Sanity>> {
        let (arch, classes) = (self.network.arch(), self.network.classes());
        let norm = self.network.normalization();
        // training may have started from the numbers of the seed itself
        let device = self.network.device();
        let random = Network::new(arch, classes, norm, !seed)?.to_device(device)?;
        let mut blocks = self.network.blocks();
        blocks.reverse();
        let cascade =
            Network::load(arch, classes, norm, &self.network.state()?, Head::Keep)?
                .to_device(device)?;

        let new =
            |name: &&str| Layer { name: name.to_string(), sum: 0.0, count: 0, without: 0 };
        let layers: Vec<Layer> = blocks.iter().map(new).collect();
        let mut all: Vec<Sanity> = self
            .explainers
            .iter()
            .map(|e| Sanity { explainer: e.name(), layers: layers.clone() })
            .collect();
        let total = self.pack.len() * (blocks.len() + 1);
        let progress = self.stage.progress(total as u64, "sanity of images and blocks");
        let rows: Vec<usize> = (0..self.pack.len()).collect();
        for rows in rows.chunks(self.batch_size) {
            let images = Node::from(&performer::image_batch(self.pack, rows, device)?);
            let original = self.maps(self.network, &images, None)?;
            progress.inc(rows.len() as u64);
            for (layer, block) in blocks.iter().enumerate() {
                cascade.copy_block(block, &random)?;
                let now = self.maps(&cascade, &images, Some(&original))?;
                for ((sanity, original), now) in all.iter_mut().zip(&original).zip(&now) {
                    sanity.layers[layer].add(original, now);
                }
                progress.inc(rows.len() as u64);
            }
            for block in &blocks {
                cascade.copy_block(block, self.network)?;
            }
        }
        Ok(all)
    }

    /// The maps by each explainer: of the predicted classes, or of those that others are of.
    fn maps(
        &self,
        network: &Network,
        images: &Node,
        of: Option<&[Explanation]>,
    ) -> Result<Vec<Explanation>> {
        self.stage.check()?;
        ops::threads::run(|| {
            let subject = Subject::new(network, self.tap, images)?;
            let mut all = Vec::with_capacity(self.explainers.len());
            for (i, explainer) in self.explainers.iter().enumerate() {
                let target =
                    of.map_or(Target::Predicted, |of| Target::Given(&of[i].target));
                all.push(subject.explain(explainer.as_ref(), subject.logits()?, target)?);
            }
            Ok(all)
        })
    }
}

impl Layer {
    /// Adds the maps of a batch.
    fn add(&mut self, original: &Explanation, now: &Explanation) {
        for i in 0..original.status.len() {
            let ok = original.status[i] == Status::Ok && now.status[i] == Status::Ok;
            match ok.then(|| spearman(original.map(i), now.map(i))).flatten() {
                Some(correlation) => {
                    self.sum += correlation;
                    self.count += 1;
                }
                None => self.without += 1,
            }
        }
    }
}

impl Sanity {
    /// Adds the mean correlation at each layer, and the share of the maps that have none.
    pub(crate) fn report(&self, evaluation: &mut Evaluation) {
        let explainer = Some(self.explainer);
        for Layer { name, sum, count, without } in &self.layers {
            let group = format!("layer:{name}");
            if *count > 0 {
                let mean = sum / *count as f64;
                evaluation.push("sanity", &group, explainer, mean, *count);
            }
            let all = count + without;
            let share = *without as f64 / all as f64;
            evaluation.push("sanity_undefined", &group, explainer, share, all);
        }
        let undefined: u64 = self.layers.iter().map(|layer| layer.without).sum();
        if undefined > 0 {
            tracing::warn!(
                "{}: {undefined} pairs of maps have no rank correlation, for one of them is \
                 flat or not finite; `sanity` is that of the rest",
                self.explainer,
            );
        }
    }
}
