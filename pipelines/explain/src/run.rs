//! Explaining a pack batch by batch.

use anyhow::Result;
use artifact::{Label, Pack};
use candle_core::Tensor;
use explain::{Explainer, Explanation, Subject, TargetKind};
use models::{Network, Tap};
use ops::Node;
use stage::Stage;

use crate::{attacked::Attacked, maps::Rows};

/// What is explained, and how.
pub(crate) struct Job<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) pack: &'a Pack,
    pub(crate) network: &'a Network,
    pub(crate) tap: &'a Tap,
    pub(crate) explainer: &'a dyn Explainer,
    pub(crate) target: TargetKind,
    pub(crate) batch_size: usize,
}

impl Job<'_> {
    /// g(f(x)) of these images, or of every image of the pack.
    pub(crate) fn clean(&self, only: Option<&[usize]>) -> Result<Rows> {
        let samples =
            only.map_or_else(|| (0..self.pack.len()).collect(), <[usize]>::to_vec);
        self.each(samples.len(), (0, 0), |images| {
            let rows: Vec<_> = images.iter().map(|&image| samples[image]).collect();
            let images = performer::image_batch(self.pack, &rows)?;
            let explanation =
                self.explain(&images, |logits| labels(self.pack, &rows, logits))?;
            Ok((rows, explanation))
        })
    }

    /// g(f(x̂)) of the images under attack: for the prediction f(x̂) itself, or for the
    /// label that the clean map is of.
    pub(crate) fn attacked(&self, attacked: &Attacked) -> Result<Rows> {
        self.each(attacked.len(), attacked.map_size(), |images| {
            let pixels = attacked.images(self.pack, images)?;
            let explanation = self.explain(&pixels, |_| attacked.targets(images))?;
            Ok((attacked.rows(images), explanation))
        })
    }

    /// Gathers batches of 0..count; only their small maps and logits stay in memory.
    fn each(
        &self,
        count: usize,
        map_size: (usize, usize),
        batch: impl Fn(&[usize]) -> Result<(Vec<usize>, Explanation)> + Sync,
    ) -> Result<Rows> {
        let progress = self.stage.progress(count as u64, "images");
        let all: Vec<usize> = (0..count).collect();
        let mut gathered = Rows::new(map_size);
        for images in all.chunks(self.batch_size) {
            self.stage.check()?;
            let (rows, explanation) = ops::threads::run(|| batch(images))?;
            gathered.add(&rows, explanation);
            progress.inc(images.len() as u64);
        }
        Ok(gathered)
    }

    fn explain(
        &self,
        images: &Tensor,
        labels: impl FnOnce(&[f32]) -> Vec<i64>,
    ) -> Result<Explanation> {
        let subject = Subject::new(self.network, self.tap, &Node::from(images))?;
        Ok(subject.predict_and_explain(self.explainer, self.target, labels)?)
    }
}

/// The label of each row; of a set the one with the highest logit.
fn labels(pack: &Pack, rows: &[usize], logits: &[f32]) -> Vec<i64> {
    let label = |(&row, logits): (&usize, &[f32])| match pack.labels.row(row) {
        Label::Single(label) => label,
        Label::Multi(hot) => explain::class_of_set(logits, hot),
    };
    rows.iter().zip(logits.chunks_exact(pack.classes())).map(label).collect()
}
