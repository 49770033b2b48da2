//! Gradients by the pixels, at one or many points for each image.

use models::Mode;
use ops::Node;

use crate::{Raw, Result, Subject, activation_gradient::one_hot};

/// A weighted sum of gradients of each image's logit of its target, `[B, 3, H, W]`.
///
/// ```text
/// Σ_k weight(k) ∂z[target] / ∂x (point_k(x))
/// ```
///
/// summed in f64 in the order of k; `point` writes point k of an image to its last argument.
/// `at_a_time` points go through the network together, of whichever images: that changes no
/// sum.
pub(crate) fn summed(
    subject: &Subject<'_>,
    target: &[i64],
    (count, at_a_time): (usize, usize),
    weight: impl Fn(usize) -> f64,
    mut point: impl FnMut(usize, &[f32], &mut [f32]),
) -> Result<Vec<f64>> {
    let (batch, colours, rows, columns) = subject.pixels().dims4()?;
    let size = colours * rows * columns;
    let pixels = pixels(subject)?;
    let mut sums = vec![0f64; batch * size];
    let all: Vec<usize> = (0..batch * count).collect();
    for points in all.chunks(at_a_time) {
        let shape = (points.len(), colours, rows, columns);
        let values = ops::upload(shape, subject.pixels().device(), |values| {
            for (&i, out) in points.iter().zip(values.chunks_exact_mut(size)) {
                point(i / batch, &pixels[i % batch * size..][..size], out);
            }
        })?;
        let values = values.tensor()?;
        let targets: Vec<i64> = points.iter().map(|&i| target[i % batch]).collect();
        let logits = subject.network.forward(&Node::variable(&values), Mode::Eval)?;
        let gradients = logits.backward(&one_hot(subject, &targets)?)?;
        let gradient = gradients.get(&values).expect("the logits depend on the pixels");
        let gradient = ops::host(gradient)?;
        for (&i, gradient) in points.iter().zip(gradient.chunks_exact(size)) {
            let weight = weight(i / batch);
            let sums = &mut sums[i % batch * size..][..size];
            sums.iter_mut()
                .zip(gradient)
                .for_each(|(sum, g)| *sum += weight * f64::from(*g));
        }
    }
    Ok(sums)
}

/// The pixels of a subject, `[B, 3, H, W]` row-major.
pub(crate) fn pixels(subject: &Subject<'_>) -> Result<Vec<f32>> {
    Ok(ops::host(subject.pixels())?)
}

/// Σ over the colours of |attribution|: a map in the size of the image.
pub(crate) fn magnitude(subject: &Subject<'_>, attribution: &[f64]) -> Result<Raw> {
    let (_, colours, height, width) = subject.pixels().dims4()?;
    let area = height * width;
    let mut values = Vec::with_capacity(attribution.len() / colours.max(1));
    for image in attribution.chunks_exact(colours * area) {
        values.extend((0..area).map(|place| {
            let colours = image[place..].iter().step_by(area);
            colours.map(|value| value.abs()).sum::<f64>() as f32
        }));
    }
    Ok(Raw { values, height, width })
}
