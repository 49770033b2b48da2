//! Class activation maps by hand, on every device, and a GPU's beside the processor's.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use candle_core::{DType, Device, Tensor};
use devices::devices;
use ops::cam::{Weighing, cam};

const ALL: [Weighing; 5] = [
    Weighing::GradCam,
    Weighing::XGradCam,
    Weighing::GradCamPlusPlus,
    Weighing::HiResCam,
    Weighing::LayerCam,
];

/// The map of one image with these channels, on every device.
fn maps(
    channels: &[[f32; 3]],
    gradients: &[[f32; 3]],
    weighing: Weighing,
) -> Vec<Vec<f32>> {
    let tensor = |values: &[[f32; 3]], device: &Device| {
        let shape = (1, values.len(), 1, 3);
        Tensor::from_vec(values.concat(), shape, device).unwrap()
    };
    devices()
        .map(|device| {
            let (a, g) = (tensor(channels, &device), tensor(gradients, &device));
            ops::host(&cam(&a, &g, weighing).unwrap()).unwrap()
        })
        .collect()
}

fn assert_maps(
    channels: &[[f32; 3]],
    gradients: &[[f32; 3]],
    weighing: Weighing,
    expected: [f32; 3],
) {
    for map in maps(channels, gradients, weighing) {
        let near = map.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 1e-5);
        assert!(near, "{weighing:?}: {map:?}, not {expected:?}");
    }
}

#[test]
fn a_channel_weighs_what_its_gradient_is_on_average() {
    // 2 and −0.5
    let (a, g) =
        ([[1.0, 2.0, 0.0], [10.0, 20.0, 2.0]], [[3.0, 1.0, 2.0], [-1.0, 0.0, -0.5]]);
    assert_maps(&a, &g, Weighing::GradCam, [-3.0, -6.0, -1.0]);
}

#[test]
fn gradients_count_where_the_channel_is_active() {
    // (1·2 + 3·6) / (1 + 3); of the second nothing is active
    let (a, g) = ([[1.0, 3.0, 0.0], [0.0; 3]], [[2.0, 6.0, 100.0], [1.0, 2.0, 3.0]]);
    assert_maps(&a, &g, Weighing::XGradCam, [5.0, 15.0, 0.0]);
}

#[test]
fn each_place_counts_by_its_share() {
    // Σ A = 2; G = 1: 1 / (2 + 2) · 1; G = 2: 4 / (8 + 16) · 2; G < 0: nothing
    let weight = 0.25 + 1.0 / 3.0;
    let (a, g) = ([[2.0, 0.0, 0.0], [1.0, 2.0, 3.0]], [[1.0, 2.0, -1.0], [0.0; 3]]);
    assert_maps(&a, &g, Weighing::GradCamPlusPlus, [2.0 * weight, 0.0, 0.0]);
}

#[test]
fn each_place_has_the_weight_of_its_gradient() {
    let (a, g) = ([[2.0, 3.0, 4.0]], [[0.5, -1.0, 0.0]]);
    assert_maps(&a, &g, Weighing::HiResCam, [1.0, -3.0, 0.0]);
    assert_maps(&a, &g, Weighing::LayerCam, [1.0, 0.0, 0.0]);
}

#[test]
fn a_gradient_that_is_no_number_stays_visible() {
    for weighing in ALL {
        for map in maps(&[[2.0, 3.0, 4.0]], &[[0.5, -1.0, f32::NAN]], weighing) {
            assert!(map[2].is_nan(), "{weighing:?}: {map:?}");
            // place by place, the others are not touched
            if weighing == Weighing::LayerCam {
                assert_eq!(map[..2], [1.0, 0.0]);
            }
        }
    }
}

#[test]
fn the_map_of_an_image_is_the_sum_of_its_weighed_channels() {
    let shape = (3, 70, 5, 4);
    let count = 3 * 70 * 5 * 4;
    let number = |i: usize, step: f32| (i as f32 * step).fract();
    let a: Vec<f32> = (0..count).map(|i| (number(i, 0.618_034) - 0.3).max(0.0)).collect();
    let g: Vec<f32> = (0..count).map(|i| number(i, 0.414_214) - 0.5).collect();
    let tensor = |values: &[f32], device: &Device| {
        // as they lie: with their channels last
        let values = Tensor::from_slice(values, (3, 5, 4, 70), device).unwrap();
        values.permute((0, 3, 1, 2)).unwrap()
    };
    for weighing in ALL {
        let expected: Vec<f32> = (0..shape.0)
            .flat_map(|image| {
                let channel = |values: &[f32], c: usize| -> Vec<f32> {
                    (0..20).map(|place| values[(image * 20 + place) * 70 + c]).collect()
                };
                let mut map = vec![0.0; 20];
                for c in 0..70 {
                    let mut weighed = channel(&a, c);
                    weighing.weigh(&mut weighed, &channel(&g, c));
                    map.iter_mut().zip(weighed).for_each(|(sum, value)| *sum += value);
                }
                map
            })
            .collect();
        for device in devices() {
            let found = cam(&tensor(&a, &device), &tensor(&g, &device), weighing).unwrap();
            assert_eq!(found.dims(), [shape.0, shape.2, shape.3]);
            for (f, e) in ops::host(&found).unwrap().iter().zip(&expected) {
                let near = (f - e).abs() <= 1e-5 * e.abs().max(1.0);
                assert!(near, "{weighing:?} on {device:?}: {f}, not {e}");
            }
        }
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    for device in devices() {
        let a = Tensor::zeros((1, 2, 3, 3), DType::F32, &device).unwrap();
        let g = a.narrow(1, 0, 1).unwrap();
        let refusal = cam(&a, &g, Weighing::GradCam).unwrap_err().to_string();
        assert!(refusal.contains("an activation and its gradient"), "{refusal}");
    }
}
