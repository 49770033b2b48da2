use std::{sync::Arc, time::Instant};

use anyhow::{Context, bail, ensure};
use artifact::{Labels, Pack, Training};
use candle_core::{DType, Device};
use data::{Batch, Batches};
use models::{Mode, Network};
use ops::{Later, Node};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stage::{Progress, Stage};

use crate::{
    args::Args,
    loss,
    objective::Objective,
    optimizer::{Finite, Optimizer},
    samples::Samples,
    schedule::learning_rate,
};

/// What changes while training goes on; with the seed, all that the next epoch depends on.
pub(crate) struct Learner {
    pub(crate) network: Network,
    pub(crate) optimizer: Optimizer,
    /// Epochs done, over all rounds.
    pub(crate) epoch: u32,
}

/// What does not change during a round.
pub(crate) struct Lesson<'a> {
    pub(crate) args: &'a Args,
    pub(crate) stage: &'a Stage,
    pub(crate) pack: &'a Arc<Pack>,
    pub(crate) samples: &'a Samples,
    pub(crate) device: &'a Device,
    pub(crate) round: u32,
}

/// Sums over the batches of an epoch.
struct Sums {
    objective: Objective,
    loss: f64,
    divisor: f64,
    correct: usize,
    seen: usize,
    skipped: usize,
}

impl Sums {
    fn new(objective: Objective) -> Self {
        Self { objective, loss: 0.0, divisor: 0.0, correct: 0, seen: 0, skipped: 0 }
    }

    fn mean_loss(&self) -> f64 {
        if self.divisor > 0.0 { self.loss / self.divisor } else { 0.0 }
    }
}

/// A step that the device takes.
struct Open {
    /// Epoch and step, counted from 1.
    place: (u32, u64),
    sample: Vec<u32>,
    weights: Vec<f32>,
    labels: Labels,
    divisor: f64,
    losses: Later,
    logits: Later,
    finite: Finite,
}

impl Open {
    /// Waits until it is done, and adds what was found.
    ///
    /// # Errors
    ///
    /// If a loss or a parameter is not finite.
    fn close(self, sums: &mut Sums) -> anyhow::Result<()> {
        let Self { place: (epoch, step), sample, weights, labels, divisor, .. } = self;
        let losses = self.losses.values()?;
        if let Some(worst) = losses.iter().position(|loss| !loss.is_finite()) {
            bail!(
                "the loss of sample {} is {} in epoch {epoch}, step {step}; its batch is \
                 {sample:?}",
                sample[worst],
                losses[worst],
            );
        }
        self.finite.check().with_context(|| {
            format!(
                "cannot go on after epoch {epoch}, step {step}; the batch is {sample:?}"
            )
        })?;
        let weighted = losses.iter().zip(&weights);
        sums.loss += weighted.map(|(l, v)| f64::from(*l) * f64::from(*v)).sum::<f64>();
        sums.divisor += divisor;
        let logits = self.logits.values()?;
        sums.objective.see(&logits, &labels);
        sums.correct += loss::correct(&logits, &labels);
        sums.seen += sample.len();
        Ok(())
    }
}

impl Learner {
    /// Learns from every selected sample once, and adds a row to the table.
    ///
    /// # Errors
    ///
    /// If a loss, a parameter or a running statistic is not finite, or the run is interrupted.
    pub(crate) fn epoch(
        &mut self,
        lesson: &Lesson<'_>,
        progress: &Progress,
        training: &mut Training,
    ) -> anyhow::Result<()> {
        let Args { recipe, augmentation, common, .. } = lesson.args;
        let rate = learning_rate(
            recipe.learning_rate,
            recipe.decay_every,
            recipe.decay_factor,
            self.epoch,
        );
        let order = data::order(&lesson.samples.selected, common.seed, self.epoch);
        let plan = data::in_batches(&order, recipe.batch_size);
        let lonely = plan.iter().any(|batch| batch.len() == 1);
        let start = Instant::now();
        let mut batches = Batches::new(
            lesson.pack.clone(),
            plan,
            augmentation.augment(),
            (common.seed, self.epoch),
            lesson.device,
        );
        let mut sums = Sums::new(Objective::new(recipe, lesson.pack.classes()));
        // a step is looked at while the next one is computed: nothing waits for the look
        let mut open: Option<Open> = None;
        for number in 0.. {
            let ready = batches.ready();
            if (ready.is_none() || sums.objective.looks_back())
                && let Some(open) = open.take()
            {
                // so that what is waited for the data is what the device waits
                open.close(&mut sums)?;
            }
            let Some(batch) = ready.or_else(|| batches.next()) else { break };
            let started =
                ops::threads::run(|| self.step(lesson, batch?, (number, rate), &mut sums));
            let images = recipe.batch_size;
            if let Some(started) = stage::in_batches_of(images, "--batch-size", started)?
                && let Some(before) = open.replace(started)
            {
                before.close(&mut sums)?;
            }
            if sums.seen > 0 {
                progress.message(format!("loss {:.4}", sums.mean_loss()));
            }
            progress.inc(1);
            lesson.stage.check()?;
        }
        self.check_finite(lonely, sums.skipped > 0)?;
        self.epoch += 1;

        let seconds = start.elapsed().as_secs_f64();
        let waited = batches.waited().as_secs_f64() / seconds;
        let mean_loss = sums.mean_loss();
        let accuracy = sums.correct as f64 / sums.seen.max(1) as f64;
        let images_per_second = lesson.samples.selected.len() as f64 / seconds;
        training.round.push(lesson.round);
        training.epoch.push(self.epoch);
        training.step.push(self.optimizer.step());
        training.learning_rate.push(rate);
        training.loss.push(mean_loss);
        training.accuracy.push(accuracy);
        training.images_per_second.push(images_per_second);
        training.seconds.push(seconds);
        if sums.skipped > 0 {
            tracing::warn!(batches = sums.skipped, "skipped: all of their weights are 0");
        }
        let (done, epochs) = (training.epoch.len(), lesson.args.epochs);
        tracing::info!(
            "epoch {done}/{epochs}: loss {mean_loss:.4}, accuracy {accuracy:.3}, \
             {images_per_second:.1} images/s, {:.0} % waiting for data",
            100.0 * waited,
        );
        Ok(())
    }

    /// Has the device take a step; nothing, if the batch has no weight.
    fn step(
        &mut self,
        lesson: &Lesson<'_>,
        batch: Batch,
        (number, rate): (u64, f64),
        sums: &mut Sums,
    ) -> anyhow::Result<Option<Open>> {
        let Lesson { args, samples, device, .. } = lesson;
        let rows: Vec<usize> = batch.sample.iter().map(|&sample| sample as usize).collect();
        let weights: Vec<f32> = rows.iter().map(|&row| samples.weight[row]).collect();
        let labels = samples.labels.select(&rows);
        let divisor = loss::divisor(&weights, args.recipe.normalize);
        if divisor == 0.0 {
            sums.skipped += 1;
            return Ok(None);
        }

        let dropout_seed = dropout_seed(args.common.seed, self.epoch, number);
        let images = Node::from(&batch.images.tensor()?);
        drop(batch.images);
        let logits = self.network.forward(&images, Mode::Train { dropout_seed })?;
        let losses = loss::per_sample(&logits, &labels)?;
        let mut shares = loss::shares(&weights, divisor, device)?;
        let values = if let Some(focused) = sums.objective.focus(&losses, &labels)? {
            shares = (shares * focused.slopes)?;
            ops::later(&focused.values)?
        } else {
            ops::later(&losses)?
        };
        let said = ops::later(&logits)?;

        // the losses alone lead to the network now, which is freed on the way back
        drop(logits);
        let gradients = losses.backward(&shares)?;
        let finite = self.optimizer.update(self.network.parameters(), &gradients, rate)?;
        Ok(Some(Open {
            place: (self.epoch + 1, self.optimizer.step()),
            sample: batch.sample,
            weights,
            labels,
            divisor,
            losses: values,
            logits: said,
            finite,
        }))
    }

    /// Refuses to go on, or to write, when a buffer is not finite: no loss shows it, and the
    /// optimiser looks at the parameters of its steps, of which some may have been `skipped`.
    fn check_finite(&self, lonely: bool, skipped: bool) -> anyhow::Result<()> {
        let parameters = self.network.parameters();
        for (name, tensor) in self.network.state()? {
            let seen = parameters.contains_key(&name) && !skipped;
            if tensor.dtype() != DType::F32 || seen {
                continue;
            }
            let values = ops::host(&tensor)?;
            let hint = if lonely { "; a batch of one image has no variance" } else { "" };
            ensure!(
                values.iter().all(|value| value.is_finite()),
                "`{name}` did not stay finite in epoch {}{hint}",
                self.epoch + 1,
            );
        }
        Ok(())
    }
}

/// The seed of one batch's dropout: a function of its place, so that it is the same after
/// an interruption.
fn dropout_seed(seed: u64, epoch: u32, batch: u64) -> u64 {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, u64::from(epoch), batch, 0]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_drops_others() {
        let seeds = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)];
        let seeds = seeds.map(|(seed, epoch, batch)| dropout_seed(seed, epoch, batch));
        for (i, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..i].contains(seed));
        }
        assert_eq!(dropout_seed(3, 4, 5), dropout_seed(3, 4, 5));
    }
}
