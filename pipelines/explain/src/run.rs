//! Explaining a pack batch by batch.

use std::sync::Arc;

use anyhow::Result;
use artifact::{Label, Pack};
use candle_core::Tensor;
use explain::{Explainer, Explanation, Passes, Subject, Target, TargetKind};
use models::{Network, Tap};
use ops::Node;
use performer::ImageBatches;
use stage::Stage;

use crate::{attacked::Attacked, cost::Cost, maps::Rows};

/// Passes of a map up to which batches are of images.
const FEW: usize = 8;

/// What is explained, and how.
pub(crate) struct Job<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) pack: &'a Arc<Pack>,
    pub(crate) network: &'a Network,
    pub(crate) tap: &'a Tap,
    pub(crate) explainer: &'a dyn Explainer,
    pub(crate) batch_size: usize,
}

impl Job<'_> {
    /// g(f(x)) of these images, or of every image of the pack.
    pub(crate) fn clean(&self, only: Option<&[usize]>, target: TargetKind) -> Result<Rows> {
        let samples =
            only.map_or_else(|| (0..self.pack.len()).collect(), <[usize]>::to_vec);
        let at_a_time = self.images_at_a_time()?;
        let plan = samples.chunks(at_a_time).map(<[usize]>::to_vec).collect();
        let mut batches =
            ImageBatches::new(Arc::clone(self.pack), plan, self.network.device());
        self.each((samples.len(), at_a_time), (0, 0), |_| {
            let (rows, images) = batches.next().expect("there are as many as chunks");
            let labels = |logits: &[f32]| labels(self.pack, &rows, logits);
            let explanation = self.subject(&images?)?.predict_and_explain(
                self.explainer,
                target,
                labels,
            )?;
            Ok((rows, explanation))
        })
    }

    /// A map for every image and each of its labels.
    pub(crate) fn every_label(&self) -> Result<Rows> {
        let pairs = self.pairs();
        let some = (pairs.len(), self.images_at_a_time()?);
        self.each(some, (0, 0), |numbers| {
            let (rows, labels): (Vec<usize>, Vec<i64>) =
                numbers.iter().map(|&i| pairs[i]).unzip();
            // those of an image follow each other
            let mut images = rows.clone();
            images.dedup();
            let of = |row| images.partition_point(|&image| image < row) as u32;
            let numbers: Vec<u32> = rows.iter().map(|&row| of(row)).collect();
            let images = performer::image_batch(self.pack, &images, self.network.device())?;
            let subject = self.subject(&images)?.select(&numbers)?;
            let target = Target::Given(&labels);
            let explanation = subject.explain(self.explainer, subject.logits()?, target)?;
            Ok((rows, explanation))
        })
    }

    /// Every image of the pack with each of its labels.
    pub(crate) fn pairs(&self) -> Vec<(usize, i64)> {
        let labels = |row| match self.pack.labels.row(row) {
            Label::Single(label) => vec![label],
            Label::Multi(hot) => (0..)
                .zip(hot)
                .filter(|(_, hot)| **hot != 0)
                .map(|(class, _)| class)
                .collect(),
        };
        let all = 0..self.pack.len();
        all.flat_map(|row| labels(row).into_iter().map(move |label| (row, label))).collect()
    }

    /// g(f(x̂)) of the images under attack: for the prediction f(x̂) itself, or for the
    /// class that the clean map is of.
    pub(crate) fn attacked(&self, attacked: &Attacked, target: TargetKind) -> Result<Rows> {
        let some = (attacked.len(), self.images_at_a_time()?);
        self.each(some, attacked.map_size(), |images| {
            let pixels = attacked.images(self.pack, images, self.network.device())?;
            let labels = |_: &[f32]| attacked.targets(images);
            let explanation = self.subject(&pixels)?.predict_and_explain(
                self.explainer,
                target,
                labels,
            )?;
            Ok((attacked.rows(images), explanation))
        })
    }

    /// What so many maps take.
    pub(crate) fn cost(&self, maps: usize) -> Result<Cost> {
        let (activation, passes) = self.passes()?;
        Ok(Cost {
            explainer: self.explainer.name(),
            tap: self.tap.name().to_owned(),
            activation,
            maps,
            batch_size: self.batch_size,
            passes,
        })
    }

    /// Gathers batches of 0..count, so many at a time; their maps and logits stay in memory.
    fn each(
        &self,
        (count, at_a_time): (usize, usize),
        map_size: (usize, usize),
        mut batch: impl FnMut(&[usize]) -> Result<(Vec<usize>, Explanation)> + Send,
    ) -> Result<Rows> {
        let progress = self.stage.progress(count as u64, "images");
        let all: Vec<usize> = (0..count).collect();
        let mut gathered = Rows::new(count, map_size);
        for images in all.chunks(at_a_time) {
            self.stage.check()?;
            let found = ops::threads::run(|| batch(images));
            let (rows, explanation) =
                stage::in_batches_of(self.batch_size, "--batch-size", found)?;
            gathered.add(&rows, explanation);
            progress.inc(images.len() as u64);
        }
        Ok(gathered)
    }

    /// Images between two looks at the progress and at Ctrl-C: fewer, where a method takes many
    /// passes for each and fills its batches with these.
    fn images_at_a_time(&self) -> Result<usize> {
        let passes = self.passes()?.1;
        let passes = passes.forward + passes.head_forward;
        Ok(if passes > FEW { self.batch_size.div_ceil(passes) } else { self.batch_size })
    }

    /// Channels, height and width at the tap, and the passes of a map.
    fn passes(&self) -> Result<([usize; 3], Passes)> {
        let first = performer::image_batch(self.pack, &[0], self.network.device())?;
        let (_, channels, height, width) = self.subject(&first)?.activation().dims4()?;
        Ok(([channels, height, width], self.explainer.passes(channels)))
    }

    fn subject(&self, images: &Tensor) -> Result<Subject<'_>> {
        Ok(Subject::new(self.network, self.tap, &Node::from(images))?)
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
