use ops::cam::{Weighing, summed};
use rayon::prelude::*;

use crate::{
    Raw, Result, Subject,
    activation_gradient::{ActivationGradient, activation_gradient, one_hot},
    projection,
};

/// How weighted channels become one map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Join {
    /// Their sum.
    #[default]
    Sum,
    /// Their first principal component: pytorch-grad-cam's `eigen_smooth`.
    Project,
}

/// A class activation map of each image: its channels weighted, and joined.
///
/// ```text
/// map = Σ_c w_c A_c    or    map = projection(w_c A_c)
/// ```
///
/// `weighted` makes `w_c A_c` of `A_c` and `G_c`, in place of `A_c`; it is told the number of the
/// image, and of the channel.
pub(crate) fn cam(
    at: ActivationGradient,
    join: Join,
    weighted: impl Fn((usize, usize), &mut [f32], &[f32]) + Sync,
) -> Raw {
    let [channels, height, width] = at.shape;
    let (area, size) = (height * width, channels * height * width);
    let mut activations = at.activation;
    let images = activations.par_chunks_exact_mut(size).enumerate();
    let maps = images.map(|(image, activation)| {
        // methods without gradients have none
        let gradient = at.gradient.get(image * size..).unwrap_or_default();
        for (c, a) in activation.chunks_exact_mut(area).enumerate() {
            let g = gradient.get(c * area..(c + 1) * area).unwrap_or_default();
            weighted((image, c), a, g);
        }
        match join {
            Join::Sum => summed(activation, area),
            Join::Project => projection::first(activation, area),
        }
    });
    let values = maps.collect::<Vec<_>>().concat();
    Raw { values, height, width }
}

/// [`cam`] of channels that their gradients weigh.
pub(crate) fn weighed(
    subject: &Subject<'_>,
    target: &[i64],
    join: Join,
    weighing: Weighing,
) -> Result<Raw> {
    if join == Join::Project {
        let at = activation_gradient(subject, target)?;
        return Ok(cam(at, join, |_, activation, gradient| {
            weighing.weigh(activation, gradient);
        }));
    }
    let gradient = subject.gradient_at_tap(&one_hot(subject, target)?)?;
    let maps = ops::cam::cam(subject.activation(), &gradient, weighing)?;
    let (_, height, width) = maps.dims3()?;
    Ok(Raw { values: ops::host(&maps)?, height, width })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{Device, Tensor, safetensors::load_buffer};

    use super::*;
    use crate::{Status, full_size, normalize};

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

    fn check(fixture: &HashMap<String, Tensor>, method: &str, weighing: Weighing) {
        let (images, _, height, width) = fixture["activation"].dims4().unwrap();
        let native = flat(&fixture[&format!("{method}.native")]);
        let full = &fixture[&format!("{method}.full")];
        let (_, rows, columns) = full.dims3().unwrap();
        let full = flat(full);

        let (activation, gradient) = (&fixture["activation"], &fixture["gradient"]);
        let mut maps = flat(&ops::cam::cam(activation, gradient, weighing).unwrap());
        let mut states = Vec::new();
        for (i, map) in maps.chunks_exact_mut(height * width).enumerate() {
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
        check(&fixture, "grad-cam", Weighing::GradCam);
        check(&fixture, "xgrad-cam", Weighing::XGradCam);
    }

    #[test]
    fn the_channels_are_summed_by_their_weights() {
        let at = ActivationGradient {
            activation: vec![1.0, 2.0, 10.0, 20.0],
            gradient: vec![3.0, 1.0, -1.0, 0.0],
            shape: [2, 1, 2],
        };
        // means of the gradients: 2 and −0.5
        let raw = cam(at, Join::Sum, |_, a, g| Weighing::GradCam.weigh(a, g));
        assert_eq!(raw, Raw { values: vec![-3.0, -6.0], height: 1, width: 2 });
    }
}
