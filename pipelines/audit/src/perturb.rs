//! The perturbed images x̂ of the correctly predicted ones of a batch.

use anyhow::{Error, Result, anyhow};
use artifact::Labels;
use attack::{Directions, Masking, Target};
use candle_core::{Device, Tensor};
use explain::{Explanation, Status, Subject};

use crate::audit::Audit;

/// What x̂ is made by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disturbance {
    /// The paper's choice, with the push of a pixel, per channel.
    Attack { step: [f32; 3] },
    /// Ablation.
    Masking(Masking),
}

/// What of an image is disturbed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// What its map calls unimportant: the paper's choice.
    Background,
    /// Ablation: all of it.
    Everything,
}

/// The correctly predicted images of a batch: no other is reweighted.
pub(crate) struct Correct {
    /// In the batch.
    pub(crate) positions: Vec<usize>,
    /// In the pack.
    pub(crate) rows: Vec<usize>,
    pub(crate) labels: Labels,
}

impl Correct {
    /// Those of these rows of the pack, with these labels, whose highest logit is a label's.
    pub(crate) fn of(
        rows: &[usize],
        labels: &Labels,
        logits: &[f32],
        classes: usize,
    ) -> Self {
        let predicted: Vec<i64> =
            logits.chunks_exact(classes).map(explain::predicted_class).collect();
        let is_right = |&i: &usize| labels.row(i).has(predicted[i]);
        let positions: Vec<usize> = (0..rows.len()).filter(is_right).collect();
        Self {
            rows: positions.iter().map(|&i| rows[i]).collect(),
            labels: labels.select(&positions),
            positions,
        }
    }
}

impl Audit<'_> {
    /// The gradient of each one's loss by its logits, `[R, K]`, as far as its signs need it.
    pub(crate) fn by_logits(&self, logits: &[f32], correct: &Correct) -> Result<Tensor> {
        let classes = self.pack.classes();
        let of_image = |&i: &usize| &logits[i * classes..][..classes];
        let logits: Vec<f32> =
            correct.positions.iter().flat_map(of_image).copied().collect();
        let target = match &correct.labels {
            Labels::Single(labels) => Target::Single(labels),
            Labels::Multi { classes, hot } => Target::Multi { classes: *classes, hot },
        };
        let gradient = attack::logit_gradient(&logits, classes, &target);
        let shape = (correct.rows.len(), classes);
        Ok(Tensor::from_vec(gradient, shape, self.network.device())?)
    }

    /// The direction in which the loss of each of them grows, Eq. (7).
    ///
    /// Goes back the way that the whole batch came, with these images alone.
    ///
    /// # Errors
    ///
    /// Also if a gradient is not finite. `attack` stops at such an image even where it is
    /// misclassified; here nobody asks for its gradient.
    pub(crate) fn signs(
        &self,
        subject: Subject<'_>,
        images: &Tensor,
        correct: &Correct,
    ) -> Result<Tensor> {
        let gradients = subject.backward()?;
        let gradient = gradients.get(images).expect("the logits depend on the images");
        attack::signs(gradient).map_err(|error| match error {
            attack::Error::NotFinite { position, found } => {
                let (model, data) = (self.model.display(), self.pack.path.display());
                let sample = correct.rows[position];
                anyhow!(
                    "{model} cannot be attacked at {data}: \
                     expected a finite gradient, found {found} at sample {sample}"
                )
            }
            error => Error::from(error),
        })
    }

    /// Them disturbed, each protected by its clean map, Eq. (1); `[R, 3, H, W]`.
    pub(crate) fn perturbed(
        &self,
        clean: &Explanation,
        correct: &Correct,
        images: &Tensor,
        directions: &Directions<'_>,
    ) -> Result<Tensor> {
        let protection = |&i: &usize| {
            let ok = matches!(self.part, Part::Background) && clean.status[i] == Status::Ok;
            explain::protection(clean.map(i), ok)
        };
        let maps: Vec<f32> = correct.positions.iter().flat_map(protection).collect();
        let shape = (correct.positions.len(), clean.height, clean.width);
        let maps = Tensor::from_vec(maps, shape, &Device::Cpu)?;
        let step = match self.disturbance {
            Disturbance::Attack { step } => step,
            Disturbance::Masking(_) => [0.0; 3],
        };
        let rows: Vec<u32> = correct.positions.iter().map(|&i| i as u32).collect();
        Ok(attack::compose_batch(images, &rows, directions, &maps, step)?)
    }
}
