use serde::{Deserialize, Serialize};

/// What a file of maps says of itself: JSON under the metadata key `maps`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapsMeta {
    /// The explainer's name, such as `grad-cam`.
    pub explainer: String,
    /// The layer whose output is explained.
    pub tap: String,
    /// Height and width of the images explained.
    pub image_size: [usize; 2],
    /// How the maps were smoothed, if they were: `aug` or `eigen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smooth: Option<String>,
    /// Which class is explained: `predicted`, `label`, `labels` or a class's name.
    #[serde(default = "predicted")]
    pub target: String,
    /// How far the images were perturbed, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// The unit of `epsilon`: `pixel` or `normalized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_unit: Option<String>,
}

impl MapsMeta {
    /// How the images were explained, in words: maps that differ in one of these cannot be
    /// compared.
    pub fn manner(&self) -> [(&'static str, String); 5] {
        let [height, width] = self.image_size;
        [
            ("explainer", self.explainer.clone()),
            ("tap", self.tap.clone()),
            ("smoothing", self.smooth.clone().unwrap_or_else(|| "none".into())),
            ("target", self.target.clone()),
            ("image size", format!("{height}x{width}")),
        ]
    }
}

fn predicted() -> String {
    "predicted".into()
}
