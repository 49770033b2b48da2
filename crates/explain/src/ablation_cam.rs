use models::Mode;
use ops::Node;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation,
    cam::{Join, cam},
};

/// Ablation-CAM (Desai and Ramaswamy, WACV 2020; in the paper's Table I).
///
/// ```text
/// w_c = (s − s_c) / s,    map = Σ_c w_c A_c
/// ```
///
/// with A the activation at the tap, s the target's logit and `s_c` what it is with channel c
/// set to 0. Where the smallest activation is another than 0, pytorch-grad-cam sets the channel
/// to it less 10⁷, which is not in the article and not done here.
#[derive(Clone, Copy, Debug)]
pub struct AblationCam {
    pub(crate) join: Join,
    /// Activations that go through the head together.
    pub(crate) at_a_time: usize,
}

impl Explainer for AblationCam {
    fn name(&self) -> &'static str {
        "ablation-cam"
    }

    fn passes(&self, channels: usize) -> Passes {
        Passes { head_forward: channels, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        let at = activation(subject)?;
        let [channels, height, width] = at.shape;
        let (area, size) = (height * width, channels * height * width);
        let (classes, whole) = (subject.network.classes(), subject.logits()?);
        let logit = |logits: &[f32], row: usize, image: usize| {
            logits[row * classes + target[image] as usize]
        };

        // (image, channel) one after the other, so that a few images fill whole batches too
        let all: Vec<usize> = (0..target.len() * channels).collect();
        let mut weights = Vec::with_capacity(all.len());
        for ablated in all.chunks(self.at_a_time) {
            let shape = (ablated.len(), channels, height, width);
            let values = ops::upload(shape, subject.activation().device(), |values| {
                for (&i, out) in ablated.iter().zip(values.chunks_exact_mut(size)) {
                    let (image, channel) = (i / channels, i % channels);
                    out.copy_from_slice(&at.activation[image * size..][..size]);
                    out[channel * area..][..area].fill(0.0);
                }
            })?;
            let values = Node::from(&values.tensor()?);
            let logits = subject.network.head(&values, subject.tap, Mode::Eval)?;
            let logits = ops::host(logits.tensor())?;
            weights.extend(ablated.iter().enumerate().map(|(row, &i)| {
                let image = i / channels;
                let s = logit(&whole, image, image);
                (s - logit(&logits, row, image)) / s
            }));
        }
        Ok(cam(at, self.join, |(image, channel), activation, _| {
            let w = weights[image * channels + channel];
            ops::cam::scale(activation, w);
        }))
    }
}
