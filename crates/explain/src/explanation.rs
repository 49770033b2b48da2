use candle_core::Tensor;
use models::{Network, Tap};
use ops::Node;

use crate::{Error, Explainer, Result, Status, Subject, normalize};

/// Which class a map is of.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The one the network predicts: the paper's choice.
    Predicted,
    /// These, `[B]`.
    Given(&'a [i64]),
}

/// A batch's explanation maps, and the predictions they explain.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// `[B, h, w]` at native resolution, in \[0, 1\].
    pub maps: Vec<f32>,
    /// h.
    pub height: usize,
    /// w.
    pub width: usize,
    /// What is to be thought of each map.
    pub status: Vec<Status>,
    /// The network's logits, `[B, K]`.
    pub logits: Vec<f32>,
    /// The class of the highest logit, [`predicted_class`].
    pub predicted: Vec<i64>,
    /// The class that each map is of.
    pub target: Vec<i64>,
}

impl Explanation {
    /// The map of an image, `[h, w]`.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn map(&self, image: usize) -> &[f32] {
        let area = self.height * self.width;
        &self.maps[image * area..][..area]
    }
}

/// g(f(x)) of a batch: predicts, explains and normalises.
///
/// A map's status is `NotFinite` also when one of its image's logits is not finite: then
/// the prediction that it explains means nothing.
///
/// # Shapes
///
/// - `images`: `[B, 3, H, W]`, pixels in \[0, 1\]
///
/// # Errors
///
/// If the network does not compute, or if the given targets are not a class an image.
pub fn explain(
    network: &Network,
    explainer: &dyn Explainer,
    tap: &Tap,
    images: &Tensor,
    target: Target<'_>,
) -> Result<Explanation> {
    let subject = Subject::new(network, tap, &Node::from(images))?;
    let logits = subject.logits()?;
    subject.explain(explainer, logits, target)
}

impl Subject<'_> {
    /// [`explain`], with the forward pass already done.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[B, K]`, of [`Subject::logits`]
    ///
    /// # Errors
    ///
    /// As [`explain`].
    pub fn explain(
        &self,
        explainer: &dyn Explainer,
        logits: Vec<f32>,
        target: Target<'_>,
    ) -> Result<Explanation> {
        let classes = self.network.classes();
        let predicted: Vec<i64> =
            logits.chunks_exact(classes).map(predicted_class).collect();
        let target = match target {
            Target::Predicted => predicted.clone(),
            Target::Given(target) => target.to_vec(),
        };
        check(&target, predicted.len(), classes)?;

        let raw = explainer.maps(self, &target)?;
        let mut maps = raw.values;
        let status = maps
            .chunks_exact_mut(raw.height * raw.width)
            .zip(logits.chunks_exact(classes))
            .map(|(map, logits)| match normalize(map) {
                status if logits.iter().all(|z| z.is_finite()) => status,
                _ => Status::NotFinite,
            })
            .collect();
        let (height, width) = (raw.height, raw.width);
        Ok(Explanation { maps, height, width, status, logits, predicted, target })
    }
}

/// The class with the highest logit: the first of equals; 0 if none is a number.
///
/// # Examples
///
/// ```
/// assert_eq!(explain::predicted_class(&[0.0, 2.0, 2.0]), 1);
/// ```
pub fn predicted_class(logits: &[f32]) -> i64 {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &z) in logits.iter().enumerate() {
        if z > best.1 {
            best = (class, z);
        }
    }
    best.0 as i64
}

/// Of a set of classes the one with the highest logit, and of an empty set the highest of all.
///
/// # Shapes
///
/// - `logits`: `[K]`
/// - `hot`: `[K]`, 1 where the class is in the set, else 0
///
/// # Examples
///
/// ```
/// assert_eq!(explain::class_of_set(&[3.0, 1.0, 2.0], &[0, 1, 1]), 2);
/// assert_eq!(explain::class_of_set(&[3.0, 1.0, 2.0], &[0, 0, 0]), 0);
/// ```
pub fn class_of_set(logits: &[f32], hot: &[u8]) -> i64 {
    let empty = hot.iter().all(|&hot| hot == 0);
    let candidate = |(&z, &hot)| if empty || hot != 0 { z } else { f32::NEG_INFINITY };
    let candidates: Vec<f32> = logits.iter().zip(hot).map(candidate).collect();
    predicted_class(&candidates)
}

fn check(target: &[i64], images: usize, classes: usize) -> Result<()> {
    if target.len() != images {
        return Err(Error::Targets { expected: images, found: target.len() });
    }
    let wrong =
        |&class: &i64| usize::try_from(class).map_or(true, |class| class >= classes);
    match target.iter().position(wrong) {
        Some(position) => {
            Err(Error::Target { position, expected: classes, found: target[position] })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_logits_the_first_is_predicted() {
        assert_eq!(predicted_class(&[0.0, 2.0, 2.0]), 1);
        assert_eq!(predicted_class(&[f32::NAN, -1.0, f32::NAN]), 1);
        assert_eq!(predicted_class(&[f32::NAN, f32::NAN]), 0);
    }

    #[test]
    fn targets_must_be_classes() {
        assert!(check(&[0, 2], 2, 3).is_ok());
        let few = check(&[0], 2, 3).unwrap_err().to_string();
        assert_eq!(few, "expected the targets of 2 images, found 1");
        let high = check(&[0, 3], 2, 3).unwrap_err().to_string();
        assert_eq!(high, "image 1 of the batch: expected a target below 3, found 3");
        assert!(check(&[-1, 0], 2, 3).is_err());
    }
}
