//! The maps of the predicted classes, for those who want to look at them.

use artifact::{Maps, MapsMeta, Pack, Provenance};
use explain::{Explanation, Status};

/// One map an image, in the order of the pack.
pub(crate) struct PredictedMaps {
    explainer: &'static str,
    height: usize,
    width: usize,
    maps: Vec<f32>,
    predicted: Vec<i64>,
    status: Vec<u8>,
}

impl PredictedMaps {
    /// None yet.
    pub(crate) fn new(explainer: &'static str) -> Self {
        let (maps, predicted, status) = (Vec::new(), Vec::new(), Vec::new());
        Self { explainer, height: 0, width: 0, maps, predicted, status }
    }

    /// Adds the next images.
    pub(crate) fn add(&mut self, explanation: Explanation) {
        (self.height, self.width) = (explanation.height, explanation.width);
        self.maps.extend(explanation.maps);
        self.predicted.extend(explanation.predicted);
        self.status.extend(explanation.status.into_iter().map(Status::code));
    }

    /// The file's contents: what `explain` writes of clean images.
    pub(crate) fn into_artifact(
        self,
        pack: &Pack,
        tap: &str,
        logits: &[f32],
        provenance: Provenance,
    ) -> Maps {
        Maps {
            meta: MapsMeta {
                explainer: self.explainer.to_owned(),
                tap: tap.to_owned(),
                smooth: None,
                image_size: [pack.height(), pack.width()],
                target: "predicted".to_owned(),
                epsilon: None,
                epsilon_unit: None,
            },
            height: self.height,
            width: self.width,
            maps: self.maps,
            classes: pack.classes(),
            logits: logits.to_vec(),
            target: self.predicted.clone(),
            predicted: self.predicted,
            labels: pack.labels.clone(),
            sample: (0..pack.len() as u32).collect(),
            status: self.status,
            provenance: Some(provenance),
        }
    }
}
