//! The checkpoints and pixels of the fixtures, by the formula of `tests/parity/models.py`.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use models::Normalization;
use ops::Node;

/// The normalisation of the fixtures.
pub(crate) const NORM: Normalization =
    Normalization { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/// The number of classes of the fixtures.
pub(crate) const CLASSES: usize = 10;

/// Names and shapes of the `state_dict` of a network of torchvision or timm.
pub(crate) fn keys(network: &str) -> BTreeMap<String, Vec<usize>> {
    let lines = include_str!("../fixtures/state_dict.txt").lines();
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let of = words.next().unwrap();
        let name = words.next().unwrap().to_owned();
        (of == network).then(|| (name, words.map(|w| w.parse().unwrap()).collect()))
    };
    lines.filter_map(parse).collect()
}

/// Element by element in [-1, 1), exact in f32.
pub(crate) fn uniform(name: &str, count: usize) -> Vec<f32> {
    let fnv = |h: u32, byte: u8| (h ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let offset = name.bytes().fold(0x811C_9DC5, fnv).wrapping_mul(0x9E37_79B9);
    let mix = |j: u32| {
        let mut h = j.wrapping_add(offset);
        h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
        h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
        h ^= h >> 16;
        (h >> 8) as f32 * 2f32.powi(-23) - 1.0
    };
    (0..count as u32).map(mix).collect()
}

/// The tensor `name` of a checkpoint.
fn filled(name: &str, shape: &[usize], smooth: bool) -> Tensor {
    if name.ends_with("num_batches_tracked") {
        return Tensor::new(3i64, &Device::Cpu).unwrap();
    }
    let mut values = uniform(name, shape.iter().product());
    let (offset, scale) = if name.ends_with("running_var") {
        (2.0, 1.0)
    } else if name.ends_with("running_mean") {
        (0.0, 0.1)
    } else if name.ends_with("bias") {
        (if smooth { 3.0 } else { 0.0 }, 0.1)
    } else if shape.len() == 1 {
        if smooth { (0.25, 0.125) } else { (1.0, 0.5) }
    } else {
        let fan_in: usize = shape[1..].iter().product();
        (0.0, (6.0 / fan_in as f64).sqrt() as f32)
    };
    for v in &mut values {
        *v = offset + scale * *v;
    }
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A checkpoint of a network of torchvision or timm.
pub(crate) fn checkpoint(network: &str) -> BTreeMap<String, Tensor> {
    checkpoint_of(network, false)
}

/// A checkpoint that keeps what enters `ReLU` and `ReLU6` away from its kinks.
pub(crate) fn smooth_checkpoint(network: &str) -> BTreeMap<String, Tensor> {
    checkpoint_of(network, true)
}

fn checkpoint_of(network: &str, smooth: bool) -> BTreeMap<String, Tensor> {
    let fill = |(name, shape): (String, Vec<usize>)| {
        let tensor = filled(&name, &shape, smooth);
        (name, tensor)
    };
    keys(network).into_iter().map(fill).collect()
}

/// Pixels in [0, 1), constants.
pub(crate) fn pixels(count: usize, height: usize, width: usize) -> Node {
    let mut values = uniform("pixels", count * 3 * height * width);
    for v in &mut values {
        *v = (*v + 1.0) * 0.5;
    }
    let pixels = Tensor::from_vec(values, (count, 3, height, width), &Device::Cpu);
    Node::from(&pixels.unwrap())
}
