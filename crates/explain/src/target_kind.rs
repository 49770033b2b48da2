use crate::{Explainer, Explanation, Result, Subject, Target};

/// Which class a map is to be of, as it is asked for before anything is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The predicted one: the paper's choice.
    Predicted,
    /// The label; of a set the one of the highest confidence, [`crate::class_of_set`].
    Label,
}

impl Subject<'_> {
    /// Predicts, and explains the class of this kind.
    ///
    /// `labels` says by the logits, `[B, K]`, which class each image's label is; it is asked
    /// only if the labels are explained.
    ///
    /// # Errors
    ///
    /// As [`explain`](crate::explain()).
    pub fn predict_and_explain(
        &self,
        explainer: &dyn Explainer,
        kind: TargetKind,
        labels: impl FnOnce(&[f32]) -> Vec<i64>,
    ) -> Result<Explanation> {
        let logits = self.logits()?;
        match kind {
            TargetKind::Predicted => self.explain(explainer, logits, Target::Predicted),
            TargetKind::Label => {
                let labels = labels(&logits);
                self.explain(explainer, logits, Target::Given(&labels))
            }
        }
    }
}
