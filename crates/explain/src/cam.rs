use rayon::prelude::*;

use crate::{Raw, activation_gradient::ActivationGradient};

/// A class activation map of each image: its channels summed by a weight each.
///
/// ```text
/// map = Σ_c w_c A_c,    w_c = weight(A_c, G_c)
/// ```
pub(crate) fn cam(
    at: &ActivationGradient,
    weight: impl Fn(&[f32], &[f32]) -> f32 + Sync,
) -> Raw {
    let [channels, height, width] = at.shape;
    let area = height * width;
    let images = at.activation.par_chunks_exact(channels * area);
    let gradients = at.gradient.par_chunks_exact(channels * area);
    let maps = images.zip(gradients).map(|(activation, gradient)| {
        let mut map = vec![0f32; area];
        for (a, g) in activation.chunks_exact(area).zip(gradient.chunks_exact(area)) {
            let w = weight(a, g);
            for (sum, &a) in map.iter_mut().zip(a) {
                *sum += w * a;
            }
        }
        map
    });
    let values = maps.collect::<Vec<_>>().concat();
    Raw { values, height, width }
}

/// Σ of f32 in f64, so that its order hardly matters.
pub(crate) fn sum(values: impl Iterator<Item = f32>) -> f64 {
    values.map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor, safetensors::load_buffer};

    use super::*;
    use crate::{Status, full_size, grad_cam, normalize, xgrad_cam};

    /// Of `tests/parity/explain.py`: three images, of which the last is flat.
    const FIXTURE: &[u8] = include_bytes!("../tests/fixtures/cam.safetensors");

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn assert_close(ours: &[f32], theirs: &[f32]) {
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() <= 1e-5, "{a}, not {b}");
        }
    }

    fn check(
        fixture: &HashMap<String, Tensor>,
        method: &str,
        weight: fn(&[f32], &[f32]) -> f32,
    ) {
        let (images, channels, height, width) = fixture["activation"].dims4().unwrap();
        let at = ActivationGradient {
            activation: flat(&fixture["activation"]),
            gradient: flat(&fixture["gradient"]),
            shape: [channels, height, width],
        };
        let native = flat(&fixture[&format!("{method}.native")]);
        let full = &fixture[&format!("{method}.full")];
        let (_, rows, columns) = full.dims3().unwrap();
        let full = flat(full);

        let mut raw = cam(&at, weight);
        let mut states = Vec::new();
        for (i, map) in raw.values.chunks_exact_mut(height * width).enumerate() {
            states.push(normalize(map));
            assert_close(map, &native[i * height * width..][..height * width]);
            let sized = full_size(map, (height, width), (rows, columns));
            assert_close(&sized, &full[i * rows * columns..][..rows * columns]);
        }
        assert_eq!(states, [Status::Ok, Status::Ok, Status::Flat]);
        assert_eq!(images, 3);
    }

    #[test]
    fn they_are_the_maps_of_pytorch_grad_cam() {
        let fixture = load_buffer(FIXTURE, &Device::Cpu).unwrap();
        check(&fixture, "grad-cam", grad_cam::weight);
        check(&fixture, "xgrad-cam", xgrad_cam::weight);
    }

    #[test]
    fn the_channels_are_summed_by_their_weights() {
        let at = ActivationGradient {
            activation: vec![1.0, 2.0, 10.0, 20.0],
            gradient: vec![3.0, 1.0, -1.0, 0.0],
            shape: [2, 1, 2],
        };
        // means of the gradients: 2 and −0.5
        let raw = cam(&at, grad_cam::weight);
        assert_eq!(raw, Raw { values: vec![-3.0, -6.0], height: 1, width: 2 });
    }
}
