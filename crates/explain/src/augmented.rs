use candle_core::Tensor;
use ops::Node;

use crate::{
    Explainer, Passes, Raw, Result, Status, Subject, normalize, pixel_gradient::pixels,
};

/// By what the pixels are multiplied.
const FACTORS: [f32; 3] = [0.9, 1.0, 1.1];
/// Copies of an image: each factor, as it is and mirrored.
const COPIES: usize = 2 * FACTORS.len();

/// The mean map of an image, of its mirror image, and of both darker and brighter:
/// pytorch-grad-cam's `aug_smooth`.
///
/// ```text
/// map = 1/6 Σ over mirrored or not, f in {0.9, 1, 1.1} of mirror(normalised map of f mirror(x))
/// ```
///
/// Pixels are multiplied before the network normalises them, and not cut at 1. Where this
/// differs from the library: maps are averaged as they are made, not in the size of the image;
/// their mean is normalised once more, as every map is; and all copies explain the class that
/// was predicted of the image itself.
pub(crate) struct Augmented(pub(crate) Box<dyn Explainer>);

impl Explainer for Augmented {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn passes(&self, channels: usize) -> Passes {
        let copies = self.0.passes(channels).times(COPIES);
        Passes { forward: 1 + copies.forward, ..copies }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        let (shape, device) = (subject.pixels().shape(), subject.pixels().device());
        let width = subject.pixels().dim(3)?;
        let x = pixels(subject)?;
        let mut mean: Option<Raw> = None;
        for mirrored in [false, true] {
            for factor in FACTORS {
                let mut copy: Vec<f32> = x.iter().map(|x| factor * x).collect();
                if mirrored {
                    mirror(&mut copy, width);
                }
                let copy = Tensor::from_vec(copy, shape, device)?;
                let subject =
                    Subject::new(subject.network, subject.tap, &Node::from(&copy))?;
                let mut raw = self.0.maps(&subject, target)?;
                for map in raw.values.chunks_exact_mut(raw.height * raw.width) {
                    if normalize(map) == Status::NotFinite {
                        map.fill(f32::NAN);
                    }
                }
                if mirrored {
                    mirror(&mut raw.values, raw.width);
                }
                raw.values.iter_mut().for_each(|value| *value /= COPIES as f32);
                match &mut mean {
                    None => mean = Some(raw),
                    Some(Raw { values, .. }) => {
                        values.iter_mut().zip(raw.values).for_each(|(sum, v)| *sum += v);
                    }
                }
            }
        }
        Ok(mean.expect("there is a factor"))
    }
}

/// Turns each row round.
fn mirror(values: &mut [f32], width: usize) {
    values.chunks_exact_mut(width).for_each(<[f32]>::reverse);
}
