//! What other networks make of the images, so that networks are compared on those that all of
//! them classify correctly.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use artifact::Pack;
use candle_core::{Device, Tensor};
use models::{Arch, Mode, Network};
use ops::Node;
use performer::Performer;
use stage::Stage;

use crate::robustness;

/// What the references agree on.
pub(crate) struct References {
    /// Rows of the pack that each of them classifies correctly, ascending; all, if there are
    /// none.
    pub(crate) right: Vec<usize>,
    /// The role and the BLAKE3 of each.
    pub(crate) inputs: Vec<(String, String)>,
}

/// A network that classifies images of a pack.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub(crate) network: &'a Network,
    pub(crate) model: &'a Path,
    pub(crate) pack: &'a Pack,
    /// Of the whole pack.
    pub(crate) labels: &'a [i64],
}

impl References {
    /// Opens one network after the other and runs it over the images that are still common.
    ///
    /// `arch` is for files that do not say their network, as it is of the model's.
    ///
    /// # Errors
    ///
    /// Also if images have sets of labels, or if a logit is not finite.
    pub(crate) fn judge(
        stage: &Stage,
        (paths, arch): (&[PathBuf], Option<Arch>),
        pack: &Pack,
        batch_size: usize,
        device: &Device,
    ) -> Result<Self> {
        let labels = robustness::labels(pack)?;
        let mut right: Vec<usize> = (0..pack.len()).collect();
        let mut inputs = Vec::new();
        for (i, model) in paths.iter().enumerate() {
            let performer = open(model, arch, pack, device)?;
            let role = match paths.len() {
                1 => "reference".to_owned(),
                _ => format!("reference-{}", i + 1),
            };
            inputs.push((role, performer.digest));
            let judge = Judge { network: &performer.network, model, pack, labels };
            right = judge.rows(stage, &right, batch_size)?;
        }
        Ok(Self { right, inputs })
    }
}

/// The flag `--arch` is of the files that do not say their network.
fn open(
    path: &Path,
    arch: Option<Arch>,
    pack: &Pack,
    device: &Device,
) -> Result<Performer> {
    match performer::open(path, None, pack, device) {
        Err(performer::Error::NoArch { .. }) => {
            Ok(performer::open(path, arch, pack, device)?)
        }
        opened => Ok(opened?),
    }
}

impl Judge<'_> {
    /// Those of the rows that it classifies correctly.
    fn rows(&self, stage: &Stage, rows: &[usize], batch_size: usize) -> Result<Vec<usize>> {
        let progress = stage.progress(rows.len() as u64, "images of a reference");
        let mut found = Vec::with_capacity(rows.len());
        for rows in rows.chunks(batch_size) {
            stage.check()?;
            let right = ops::threads::run(|| {
                let device = self.network.device();
                self.right(&performer::image_batch(self.pack, rows, device)?, rows)
            });
            let right = stage::in_batches_of(batch_size, "--batch-size", right)?;
            let rows_right = rows.iter().zip(right).filter(|&(_, right)| right);
            found.extend(rows_right.map(|(&row, _)| row));
            progress.inc(rows.len() as u64);
        }
        Ok(found)
    }

    /// Whether it classifies each of these images, which are of these rows, correctly.
    ///
    /// # Errors
    ///
    /// Also if a logit is not finite.
    pub(crate) fn right(&self, images: &Tensor, rows: &[usize]) -> Result<Vec<bool>> {
        let logits = self.network.forward(&Node::from(images), Mode::Eval)?;
        let logits = ops::host(logits.tensor())?;
        let mut right = Vec::with_capacity(rows.len());
        for (&row, logits) in rows.iter().zip(logits.chunks_exact(self.pack.classes())) {
            let z = logits.iter().find(|z| !z.is_finite()).copied();
            ensure!(
                z.is_none(),
                "{} cannot be evaluated on {}: expected finite logits, found {} at sample {row}",
                self.model.display(),
                self.pack.path.display(),
                z.unwrap_or_default(),
            );
            right.push(explain::predicted_class(logits) == self.labels[row]);
        }
        Ok(right)
    }
}
