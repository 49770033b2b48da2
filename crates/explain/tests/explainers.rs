//! Every method through a whole network, against pytorch-grad-cam and Captum.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../../models/tests/models/formula.rs"]
#[expect(dead_code, reason = "the checkpoints of other tests are in it too")]
mod formula;

use std::{collections::HashMap, num::NonZeroUsize};

use candle_core::{Device, Tensor, safetensors::load_buffer};
use explain::{METHODS, Smooth, Status, Subject, Target, by_name, normalize};
use models::{Arch, Head, Network};

/// Of `tests/parity/explainers.py`.
const FIXTURE: &[u8] = include_bytes!("fixtures/explainers.safetensors");
const TARGETS: [i64; 2] = [1, 7];
/// Methods whose maps have the size of the image, and do not depend on the tap.
const OF_PIXELS: [&str; 3] = ["gradient", "smooth-grad", "integrated-gradients"];

fn fixture() -> HashMap<String, Tensor> {
    load_buffer(FIXTURE, &Device::Cpu).unwrap()
}

fn network() -> Network {
    let state = formula::checkpoint("resnet20");
    let (classes, norm) = (formula::CLASSES, formula::NORM);
    Network::load(Arch::Resnet20, classes, norm, &state, Head::Keep).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.iter().chain(theirs).all(|value| value.is_finite()), "numbers");
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The maps of a method, some of its work done `at_a_time`.
fn maps(
    network: &Network,
    tap: &str,
    name: &str,
    smooth: Option<Smooth>,
    n: usize,
) -> Vec<f32> {
    let tap = network.resolve_tap(Some(tap)).unwrap();
    let subject = Subject::new(network, &tap, &formula::pixels(2, 32, 32)).unwrap();
    let method = by_name(name, smooth, NonZeroUsize::new(n).unwrap()).unwrap();
    let logits = subject.logits().unwrap();
    let found = subject.explain(method.as_ref(), logits, Target::Given(&TARGETS)).unwrap();
    assert_eq!(found.status, [Status::Ok; 2], "{name}");
    found.maps
}

#[test]
fn the_logits_are_those_of_pytorch() {
    let network = network();
    let tap = network.resolve_tap(None).unwrap();
    let subject = Subject::new(&network, &tap, &formula::pixels(2, 32, 32)).unwrap();
    let found = difference(&subject.logits().unwrap(), &flat(&fixture()["logits"]));
    assert!(found < 1e-4, "{found}");
}

#[test]
fn class_activation_maps_are_those_of_pytorch_grad_cam() {
    let (fixture, network) = (fixture(), network());
    for tap in ["layer3", "layer2"] {
        for (name, _) in METHODS.iter().filter(|(name, _)| !OF_PIXELS.contains(name)) {
            let ours = maps(&network, tap, name, None, 32);
            let found = difference(&ours, &flat(&fixture[&format!("{tap}.{name}")]));
            assert!(found < 1e-4, "{name} at {tap}: {found}");
        }
    }
}

#[test]
fn smoothed_maps_are_those_of_pytorch_grad_cam_averaged_as_they_are_made() {
    let (fixture, network) = (fixture(), network());
    for tap in ["layer3", "layer2"] {
        for (name, smooth) in [
            ("grad-cam", Smooth::Eigen),
            ("layer-cam", Smooth::Eigen),
            ("grad-cam", Smooth::Augmentation),
        ] {
            let ours = maps(&network, tap, name, Some(smooth), 32);
            let found =
                difference(&ours, &flat(&fixture[&format!("{tap}.{name}.{smooth}")]));
            assert!(found < 1e-4, "{name}, {smooth}, at {tap}: {found}");
        }
    }
}

#[test]
fn attributions_are_those_of_captum() {
    let (fixture, network) = (fixture(), network());
    for name in ["gradient", "integrated-gradients"] {
        let mut theirs = Vec::new();
        for image in flat(&fixture[name]).chunks_exact(3 * 32 * 32) {
            let [red, green, blue] =
                [0, 1, 2].map(|colour| &image[colour * 1024..][..1024]);
            let colours = red.iter().zip(green).zip(blue);
            let mut map: Vec<f32> =
                colours.map(|((r, g), b)| r.abs() + g.abs() + b.abs()).collect();
            assert_eq!(normalize(&mut map), Status::Ok);
            theirs.extend(map);
        }
        let found = difference(&maps(&network, "layer3", name, None, 16), &theirs);
        assert!(found < 1e-3, "{name}: {found}");
    }
}

#[test]
fn no_map_depends_on_how_many_go_through_the_network_together() {
    let network = network();
    for (name, _) in METHODS {
        let smooth = (name == "score-cam").then_some(Smooth::Eigen);
        let [few, many] = [7, 1000].map(|n| maps(&network, "layer3", name, smooth, n));
        assert!(few == many, "{name}");
    }
}

#[test]
fn noise_in_proportion_to_an_image_without_range_is_none() {
    let network = network();
    let tap = network.resolve_tap(None).unwrap();
    let grey =
        ops::Node::from(&Tensor::full(0.5f32, (1, 3, 32, 32), &Device::Cpu).unwrap());
    let subject = Subject::new(&network, &tap, &grey).unwrap();
    let [smooth, plain] = ["smooth-grad", "gradient"].map(|name| {
        by_name(name, None, NonZeroUsize::MIN).unwrap().maps(&subject, &[1]).unwrap().values
    });
    assert!(difference(&smooth, &plain) < 1e-6);
}
