//! The labels of a batch, where not all of them are known.

use std::path::Path;

use anyhow::{Result, ensure};
use artifact::{Label, LabelKind, Labels, Pack, Weights};

use crate::audit::Audit;

/// Which of the pack's images have a label that is known, by the table of weights at `path`.
///
/// # Errors
///
/// If the table is of another pack, or images have sets of labels: a prediction is none.
pub(crate) fn labelled(path: &Path, pack: &Pack) -> Result<Vec<bool>> {
    ensure!(
        pack.labels.kind() == LabelKind::Single,
        "{}: --unlabelled takes predictions for labels, expected one label an image, \
         found sets of them; leave it out",
        pack.path.display(),
    );
    let (weights, provenance) = Weights::read(path)?;
    let of_pack = (pack.path.as_path(), pack.digest());
    artifact::made_from("data", (path, provenance.as_ref()), of_pack)?;
    Ok(weights.labelled(path, pack.len())?)
}

/// The class of each label; of a set the one with the highest logit.
pub(crate) fn classes(labels: &Labels, logits: &[f32], classes: usize) -> Vec<i64> {
    let class = |(i, logits): (usize, &[f32])| match labels.row(i) {
        Label::Single(label) => label,
        Label::Multi(hot) => explain::class_of_set(logits, hot),
    };
    logits.chunks_exact(classes).enumerate().map(class).collect()
}

impl Audit<'_> {
    /// The labels of these rows of the pack; where none is known, what is predicted.
    pub(crate) fn labels(&self, rows: &[usize], logits: &[f32]) -> Labels {
        let mut labels = self.pack.labels.select(rows);
        if let Labels::Single(labels) = &mut labels {
            let logits = logits.chunks_exact(self.pack.classes());
            for ((label, &row), logits) in labels.iter_mut().zip(rows).zip(logits) {
                if !self.labelled[row] {
                    *label = explain::predicted_class(logits);
                }
            }
        }
        labels
    }
}
