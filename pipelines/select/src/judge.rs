//! What a model makes of the pack's images.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use artifact::Pack;
use models::{Mode, Network};
use ops::Node;
use performer::Performer;
use stage::Stage;

use crate::args::Args;

/// A model in front of a pack.
pub(crate) struct Judge<'a> {
    model: &'a Path,
    pack: &'a Pack,
    performer: Performer,
    batch_size: usize,
    stage: &'a Stage,
}

impl<'a> Judge<'a> {
    pub(crate) fn open(args: &'a Args, pack: &'a Pack, stage: &'a Stage) -> Result<Self> {
        let model = args.model.as_deref().context("no --model")?;
        let device = stage.device(&args.common)?;
        let performer = performer::open(model, args.arch, pack, &device)?;
        Ok(Self { model, pack, performer, batch_size: args.batch_size.get(), stage })
    }

    /// BLAKE3 of the model's file.
    pub(crate) fn digest(&self) -> &str {
        &self.performer.digest
    }

    /// The logits of these samples, `[R, K]`.
    pub(crate) fn logits(&self, samples: &[usize]) -> Result<Vec<f32>> {
        self.pass(samples, |network, images| network.forward(images, Mode::Eval))
    }

    /// What the network's last layer reads of all samples, `[N, F]`.
    pub(crate) fn features(&self) -> Result<Vec<f32>> {
        let samples: Vec<usize> = (0..self.pack.len()).collect();
        let tap = self.performer.network.penultimate();
        self.pass(&samples, |network, images| network.features(images, &tap, Mode::Eval))
    }

    /// Rows of what `compute` gives, one a sample.
    ///
    /// # Errors
    ///
    /// Also if one of its values is not finite: nothing can be told by it.
    fn pass(
        &self,
        samples: &[usize],
        compute: impl Fn(&Network, &Node) -> models::Result<Node> + Sync,
    ) -> Result<Vec<f32>> {
        let network = &self.performer.network;
        let progress = self.stage.progress(samples.len() as u64, "images");
        let mut values = Vec::new();
        for batch in samples.chunks(self.batch_size) {
            self.stage.check()?;
            let found = ops::threads::run(|| -> Result<_> {
                let images = performer::image_batch(self.pack, batch, network.device())?;
                let computed = compute(network, &Node::from(&images))?;
                Ok(ops::host(computed.tensor())?)
            });
            let found = stage::in_batches_of(self.batch_size, "--batch-size", found)?;
            let broken = found.iter().position(|value| !value.is_finite());
            ensure!(
                broken.is_none(),
                "{} cannot judge {}: expected finite numbers, found {} at sample {}",
                self.model.display(),
                self.pack.path.display(),
                found[broken.unwrap_or(0)],
                batch[broken.unwrap_or(0) * batch.len() / found.len()],
            );
            values.extend(found);
            progress.inc(batch.len() as u64);
        }
        Ok(values)
    }
}
