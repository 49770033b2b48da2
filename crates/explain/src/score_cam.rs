use models::Mode;
use ops::{Node, softmax::softmax};
use rayon::prelude::*;

use crate::{
    Explainer, Passes, Raw, Result, Subject,
    activation_gradient::activation,
    cam::{Join, cam},
    pixel_gradient::pixels,
};

/// Keeps a channel that is the same everywhere from dividing by 0.
const EPSILON: f32 = 1e-8;

/// Score-CAM (Wang et al., CVPR workshops 2020).
///
/// ```text
/// w = softmax over c of z[target](x ∘ M_c),    map = Σ_c w_c A_c
/// ```
///
/// with A the activation at the tap, and `M_c` the channel `A_c` up-sampled to the image
/// (bilinear, corners aligned) and stretched to \[0, 1\], as pytorch-grad-cam has it. What is
/// masked is black, as the pixels are masked before the network normalises them.
#[derive(Clone, Copy, Debug)]
pub struct ScoreCam {
    pub(crate) join: Join,
    /// Masked images that go through the network together.
    pub(crate) at_a_time: usize,
}

impl Explainer for ScoreCam {
    fn name(&self) -> &'static str {
        "score-cam"
    }

    fn passes(&self, channels: usize) -> Passes {
        Passes { forward: 1 + channels, ..Passes::PREDICTION }
    }

    fn maps(&self, subject: &Subject<'_>, target: &[i64]) -> Result<Raw> {
        let at = activation(subject)?;
        let [channels, height, width] = at.shape;
        let (_, colours, rows, columns) = subject.pixels().dims4()?;
        let (area, size) = (height * width, colours * rows * columns);
        let pixels = pixels(subject)?;
        let classes = subject.network.classes();

        let all: Vec<usize> = (0..target.len() * channels).collect();
        let mut scores = Vec::with_capacity(all.len());
        for masked in all.chunks(self.at_a_time) {
            let shape = (masked.len(), colours, rows, columns);
            let values = ops::upload(shape, subject.pixels().device(), |values| {
                values.par_chunks_exact_mut(size).zip(masked).for_each(|(out, &i)| {
                    let channel = &at.activation[i * area..][..area];
                    let mask = mask(channel, (height, width), (rows, columns));
                    let x = &pixels[i / channels * size..][..size];
                    for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
                        *out = x * mask[i % mask.len()];
                    }
                });
            })?;
            let values = Node::from(&values.tensor()?);
            let logits = subject.network.forward(&values, Mode::Eval)?;
            let logits = ops::host(logits.tensor())?;
            let of = |(z, &i): (&[f32], &usize)| z[target[i / channels] as usize];
            scores.extend(logits.chunks_exact(classes).zip(masked).map(of));
        }
        let weights: Vec<f32> = scores.chunks_exact(channels).flat_map(softmax).collect();
        Ok(cam(at, self.join, |(image, channel), activation, _| {
            let w = weights[image * channels + channel];
            ops::cam::scale(activation, w);
        }))
    }
}

/// A channel in the size of the image, stretched to \[0, 1\].
fn mask(
    channel: &[f32],
    (height, width): (usize, usize),
    (rows, columns): (usize, usize),
) -> Vec<f32> {
    let (ys, xs) = (places(height, rows), places(width, columns));
    let mut mask = Vec::with_capacity(rows * columns);
    for &(top, bottom, fy) in &ys {
        for &(left, right, fx) in &xs {
            let at = |y: usize, x: usize| channel[y * width + x];
            let upper = at(top, left) * (1.0 - fx) + at(top, right) * fx;
            let lower = at(bottom, left) * (1.0 - fx) + at(bottom, right) * fx;
            mask.push(upper * (1.0 - fy) + lower * fy);
        }
    }
    let low = mask.iter().copied().fold(f32::INFINITY, f32::min);
    let high = mask.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in &mut mask {
        *x = (*x - low) / (high - low + EPSILON);
    }
    mask
}

/// Where each of `to` pixels lies among `from`, the first and the last on each other: the
/// neighbours, and how far it is to the second.
fn places(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let step = if to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { 0.0 };
    (0..to)
        .map(|i| {
            let at = i as f32 * step;
            let first = (at as usize).min(from - 1);
            (first, (first + 1).min(from - 1), at - first as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_its_corners_where_the_channel_has_them() {
        // 2 x 2 to 3 x 3: the middle is the mean of all, the sides those of two
        let mask = mask(&[0.0, 4.0, 8.0, 4.0], (2, 2), (3, 3));
        let expected = [0.0, 0.25, 0.5, 0.5, 0.5, 0.5, 1.0, 0.75, 0.5];
        for (found, expected) in mask.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        }
    }

    #[test]
    fn a_channel_that_is_the_same_everywhere_masks_all() {
        assert_eq!(mask(&[3.0], (1, 1), (2, 2)), [0.0; 4]);
    }
}
