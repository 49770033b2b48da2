//! How many of the samples that every compared network classifies correctly does this one
//! still classify correctly under attack (section IV-F)?
//!
//! The attack is by this network's own gradient, at the true label and on the whole image: no
//! map protects anything. The paper attacks by FGSM alone, which networks with a rugged loss
//! resist better than stronger attacks; hence PGD too.

use anyhow::{Context, Result, bail, ensure};
use artifact::{Evaluation, Labels, Pack};
use attack::{Directions, Target};
use candle_core::{DType, Device, Tensor};

use crate::{measure::Measuring, references::Judge};

/// ε of Eq. (7), in 255ths of the range of a pixel; the last one is the paper's 0.1.
const EPSILONS: [f32; 7] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 25.5];

/// How many samples are still right, by ε.
pub(crate) struct Robustness {
    fgsm: [u64; EPSILONS.len()],
    pgd: [u64; EPSILONS.len()],
    count: u64,
}

/// The labels of a pack whose images have one each.
pub(crate) fn labels(pack: &Pack) -> Result<&[i64]> {
    match &pack.labels {
        Labels::Single(labels) => Ok(labels),
        Labels::Multi { .. } => bail!(
            "--robustness needs one label an image, and those of {} have sets of labels",
            pack.path.display()
        ),
    }
}

impl Measuring<'_> {
    /// Attacks those of the rows that the network classifies correctly by these logits of the
    /// whole pack.
    ///
    /// # Errors
    ///
    /// Also if there are none, or if a gradient or a logit is not finite.
    pub(crate) fn robustness(&self, rows: &[usize], logits: &[f32]) -> Result<Robustness> {
        let labels = labels(self.pack)?;
        let classes = self.pack.classes();
        let predicted =
            |row: usize| explain::predicted_class(&logits[row * classes..][..classes]);
        let is_right = |&row: &usize| predicted(row) == labels[row];
        let rows: Vec<usize> = rows.iter().copied().filter(is_right).collect();
        ensure!(
            !rows.is_empty(),
            "--robustness: no sample of {} is classified correctly by {} and every --reference",
            self.pack.path.display(),
            self.model.display(),
        );

        let zeros = || [0; EPSILONS.len()];
        let count = rows.len() as u64;
        let mut found = Robustness { fgsm: zeros(), pgd: zeros(), count };
        let attacks = count * EPSILONS.len() as u64;
        let progress = self.stage.progress(attacks, "robustness of images and epsilons");
        for rows in rows.chunks(self.batch_size) {
            let x = performer::image_batch(self.pack, rows, self.network.device())?;
            let batch = Batch { measuring: self, labels, rows, x: &x };
            let signs = batch.signs()?;
            for (i, epsilon) in EPSILONS.into_iter().enumerate() {
                self.stage.check()?;
                found.fgsm[i] += batch.right(|| batch.one_step(&signs, epsilon / 255.0))?;
                self.stage.check()?;
                found.pgd[i] += batch.right(|| batch.ten_steps(epsilon / 255.0))?;
                progress.inc(rows.len() as u64);
            }
        }
        Ok(found)
    }
}

/// Images under attack.
struct Batch<'a> {
    measuring: &'a Measuring<'a>,
    /// Of the whole pack.
    labels: &'a [i64],
    rows: &'a [usize],
    x: &'a Tensor,
}

impl Batch<'_> {
    /// The direction of FGSM, which no ε changes.
    fn signs(&self) -> Result<Directions<'_>> {
        let network = self.measuring.network;
        let signs = ops::threads::run(|| {
            self.at_labels(|target| attack::fgsm(network, self.x, target))
        });
        self.attacked(signs).map(Directions::Signs)
    }

    fn one_step(&self, signs: &Directions<'_>, epsilon: f32) -> Result<Tensor> {
        let maps = Tensor::zeros((self.rows.len(), 1, 1), DType::F32, &Device::Cpu)?;
        let all: Vec<u32> = (0..self.rows.len() as u32).collect();
        self.attacked(attack::compose_batch(self.x, &all, signs, &maps, [epsilon; 3]))
    }

    fn ten_steps(&self, epsilon: f32) -> Result<Tensor> {
        let network = self.measuring.network;
        self.attacked(
            self.at_labels(|target| attack::pgd(network, self.x, target, epsilon)),
        )
    }

    /// How many of the perturbed images are classified correctly.
    fn right(&self, perturbed: impl FnOnce() -> Result<Tensor> + Send) -> Result<u64> {
        let Measuring { network, model, pack, .. } = self.measuring;
        let judge = Judge { network, model, pack, labels: self.labels };
        let right = ops::threads::run(|| judge.right(&perturbed()?, self.rows))?;
        Ok(right.into_iter().filter(|&right| right).count() as u64)
    }

    fn at_labels<T>(&self, attack: impl FnOnce(Target<'_>) -> T) -> T {
        let labels: Vec<i64> = self.rows.iter().map(|&row| self.labels[row]).collect();
        attack(Target::Single(&labels))
    }

    fn attacked<T>(&self, result: attack::Result<T>) -> Result<T> {
        result.with_context(|| {
            let Measuring { model, pack, .. } = self.measuring;
            let (model, data) = (model.display(), pack.path.display());
            format!("{model} cannot be attacked at {data} from sample {} on", self.rows[0])
        })
    }
}

impl Robustness {
    /// Adds the accuracy on the common samples at each ε.
    pub(crate) fn report(&self, evaluation: &mut Evaluation) {
        for (metric, right) in [("fgsm", self.fgsm), ("pgd", self.pgd)] {
            for (epsilon, right) in EPSILONS.into_iter().zip(right) {
                let group = match epsilon {
                    0.0 => "epsilon:0".to_owned(),
                    _ => format!("epsilon:{epsilon}/255"),
                };
                let value = right as f64 / self.count as f64;
                evaluation.push(metric, &group, None, value, self.count);
            }
        }
    }
}
