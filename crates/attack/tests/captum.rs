//! The composition against `captum.robust.FGSM` with mask 1 − g and bounds 0..1; the
//! fixture is of `tests/parity/attack.py`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use attack::{Direction, EpsilonUnit, compose, step};
use candle_core::{Device, Tensor, safetensors::load_buffer};
use ops::bits;

const FIXTURE: &[u8] = include_bytes!("fixtures/fgsm.safetensors");

/// What `tests/parity/attack.py` took.
const EPSILON: f32 = 0.1;

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.flatten_from(1).unwrap().to_vec2().unwrap()
}

#[test]
fn it_composes_what_captum_composes() {
    let fixture = load_buffer(FIXTURE, &Device::Cpu).unwrap();
    let epsilon = step(EPSILON, EpsilonUnit::Pixel, [0.25; 3]);
    let images = rows(&fixture["x"]).into_iter().zip(rows(&fixture["gradient"]));
    let maps = rows(&fixture["maps"]).into_iter().zip(rows(&fixture["perturbed"]));

    for ((x, gradient), (map, expected)) in images.zip(maps) {
        let mut composed = vec![f32::NAN; x.len()];
        let signs = bits::pack_signs(&gradient);
        compose(&x, Direction::Signs(&signs), &map, epsilon, &mut composed);
        assert_eq!(composed, expected);

        let delta: Vec<f32> = gradient.iter().map(|g| g.signum()).collect();
        compose(&x, Direction::Delta(&delta), &map, epsilon, &mut composed);
        assert_eq!(composed, expected);
    }
}
