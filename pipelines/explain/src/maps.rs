//! The rows of the output, gathered batch by batch.

use artifact::{Maps, MapsMeta, Pack, Provenance};
use explain::{Explanation, Status};

/// Explanations of some images of a pack.
pub(crate) struct Rows {
    /// How many there will be.
    count: usize,
    height: usize,
    width: usize,
    maps: Vec<f32>,
    logits: Vec<f32>,
    predicted: Vec<i64>,
    target: Vec<i64>,
    sample: Vec<usize>,
    status: Vec<Status>,
}

impl Rows {
    /// None yet, of `count` in the end. What the size of a map is, the first batch says; should
    /// there be no batch, this does.
    pub(crate) fn new(count: usize, (height, width): (usize, usize)) -> Self {
        Self {
            count,
            height,
            width,
            maps: Vec::new(),
            logits: Vec::new(),
            predicted: Vec::new(),
            target: Vec::new(),
            sample: Vec::new(),
            status: Vec::new(),
        }
    }

    /// Adds the explanation of these rows of the pack.
    pub(crate) fn add(&mut self, sample: &[usize], explanation: Explanation) {
        (self.height, self.width) = (explanation.height, explanation.width);
        if self.sample.is_empty() {
            // once, as a vector that grows takes twice the memory for a while
            self.maps.reserve_exact(self.count * self.height * self.width);
        }
        self.maps.extend(explanation.maps);
        self.logits.extend(explanation.logits);
        self.predicted.extend(explanation.predicted);
        self.target.extend(explanation.target);
        self.sample.extend(sample);
        self.status.extend(explanation.status);
    }

    /// Reports how many maps there are, and how many say nothing.
    pub(crate) fn say(&self, meta: &MapsMeta) {
        let count = |status| self.status.iter().filter(|&&s| s == status).count();
        let (flat, not_finite) = (count(Status::Flat), count(Status::NotFinite));
        let (explainer, tap) = (&meta.explainer, &meta.tap);
        let (height, width, images) = (self.height, self.width, self.sample.len());
        tracing::info!("{images} maps of {height}x{width} by {explainer} at {tap}");
        if flat + not_finite > 0 {
            tracing::warn!("of {images} maps {flat} are flat and {not_finite} not finite");
        }
    }

    /// The file's contents.
    pub(crate) fn into_artifact(
        self,
        meta: MapsMeta,
        pack: &Pack,
        provenance: Provenance,
    ) -> Maps {
        Maps {
            meta,
            height: self.height,
            width: self.width,
            maps: self.maps,
            classes: pack.classes(),
            logits: self.logits,
            predicted: self.predicted,
            target: self.target,
            labels: pack.labels.select(&self.sample),
            sample: self.sample.iter().map(|&row| row as u32).collect(),
            status: self.status.into_iter().map(Status::code).collect(),
            provenance: Some(provenance),
        }
    }
}
