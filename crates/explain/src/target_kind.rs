use crate::{Error, Explainer, Explanation, Result, Subject, Target};

/// Which class a map is to be of, as it is asked for before anything is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// The predicted one: the paper's choice.
    Predicted,
    /// The label; of a set the one of the highest confidence, [`crate::class_of_set`].
    Label,
    /// The class of this number, whatever the image.
    Class(i64),
}

impl TargetKind {
    /// What is asked for: `predicted`, `label`, or else the name of one of `classes`.
    ///
    /// # Errors
    ///
    /// If there is no such class; the error lists those that there are.
    ///
    /// # Examples
    ///
    /// ```
    /// use explain::TargetKind;
    ///
    /// let classes = ["cat".to_owned(), "dog".to_owned()];
    /// assert_eq!(TargetKind::of("label", &classes)?, TargetKind::Label);
    /// assert_eq!(TargetKind::of("dog", &classes)?, TargetKind::Class(1));
    /// let error = TargetKind::of("cow", &classes).unwrap_err().to_string();
    /// assert_eq!(error, "no class `cow` to explain: expected predicted, label or one of cat, dog");
    /// # Ok::<(), explain::Error>(())
    /// ```
    pub fn of(text: &str, classes: &[String]) -> Result<Self> {
        match text {
            "predicted" => Ok(Self::Predicted),
            "label" => Ok(Self::Label),
            name => match classes.iter().position(|class| class == name) {
                Some(class) => Ok(Self::Class(class as i64)),
                None => Err(Error::UnknownClass {
                    found: name.to_owned(),
                    expected: classes.join(", "),
                }),
            },
        }
    }
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
        let given = match kind {
            TargetKind::Predicted => {
                return self.explain(explainer, logits, Target::Predicted);
            }
            TargetKind::Label => labels(&logits),
            TargetKind::Class(class) => {
                vec![class; logits.len() / self.network.classes()]
            }
        };
        self.explain(explainer, logits, Target::Given(&given))
    }
}
