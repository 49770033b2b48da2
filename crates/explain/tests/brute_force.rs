//! Grad-CAM through a whole network, against the same maps without back-propagation.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use candle_core::{Device, Tensor};
use explain::{GradCam, Status, Subject, Target, XGradCam, explain, normalize};
use models::{Arch, Mode, Network, Normalization};
use ops::Node;

const CLASSES: usize = 3;
const TARGET: [i64; 2] = [2, 0];

fn network() -> Network {
    let norm = Normalization { mean: [0.5; 3], std: [0.25; 3] };
    Network::new(Arch::Resnet20, CLASSES, norm, 7).unwrap()
}

/// Two images without any symmetry, with pixels in [0, 1].
fn images() -> Tensor {
    let pixels: Vec<f32> =
        (0..2 * 3 * 16 * 16_u32).map(|i| (i * i % 251) as f32 / 250.0).collect();
    Tensor::from_vec(pixels, (2, 3, 16, 16), &Device::Cpu).unwrap()
}

fn assert_close(ours: &[f32], brute: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), brute.len());
    for (a, b) in ours.iter().zip(brute) {
        assert!((a - b).abs() <= tolerance, "{a}, not {b}");
    }
}

/// Before global average pooling and a linear classifier, the gradient of a logit is the
/// classifier's weight over the area: Grad-CAM is the original CAM (Zhou et al., 2016).
#[test]
fn at_the_last_layer_it_is_the_class_activation_map() {
    let network = network();
    let tap = network.resolve_tap(None).unwrap();
    let pixels = Node::from(&images());
    let activation = network.features(&pixels, &tap, Mode::Eval).unwrap();
    let (_, _, height, width) = activation.dims4().unwrap();
    let classifier: Vec<Vec<f32>> =
        network.state().unwrap()["fc.weight"].to_vec2().unwrap();
    let activation: Vec<Vec<Vec<f32>>> =
        activation.flatten_from(2).unwrap().to_vec3().unwrap();

    let mut brute = Vec::new();
    for (channels, target) in activation.iter().zip(TARGET) {
        let mut map = vec![0f32; height * width];
        for (channel, weight) in channels.iter().zip(&classifier[target as usize]) {
            for (sum, a) in map.iter_mut().zip(channel) {
                *sum += weight * a / (height * width) as f32;
            }
        }
        assert_eq!(normalize(&mut map), Status::Ok);
        brute.extend(map);
    }

    for explainer in [&GradCam::default() as &dyn explain::Explainer, &XGradCam::default()]
    {
        let target = Target::Given(&TARGET);
        let ours = explain(&network, explainer, &tap, &images(), target).unwrap();
        assert_eq!((ours.height, ours.width), (height, width));
        assert_eq!(ours.target, TARGET);
        assert_close(&ours.maps, &brute, 1e-4);
    }
}

/// The mean of a channel's gradient is what the logit gains when the whole channel rises.
#[test]
fn at_an_earlier_layer_it_is_what_central_differences_give() {
    const STEP: f32 = 1e-2;
    let network = network();
    let tap = network.resolve_tap(Some("layer3.1")).unwrap();
    let subject = Subject::new(&network, &tap, &Node::from(&images())).unwrap();
    let (_, channels, height, width) = subject.activation().dims4().unwrap();
    let area = height * width;

    // the activation of each image, `channels` times over with one channel raised in each
    let logits = |image: usize, step: f32| -> Vec<Vec<f32>> {
        let activation = subject.activation().narrow(0, image, 1).unwrap();
        let raised: Vec<f32> = (0..channels * channels * area)
            .map(|i| if i / area / channels == i / area % channels { step } else { 0.0 })
            .collect();
        let shape = (channels, channels, height, width);
        let raised = Tensor::from_vec(raised, shape, &Device::Cpu).unwrap();
        let raised = Node::from(&raised.broadcast_add(&activation).unwrap());
        network.head(&raised, &tap, Mode::Eval).unwrap().to_vec2().unwrap()
    };
    let activation: Vec<Vec<Vec<f32>>> =
        subject.activation().flatten_from(2).unwrap().to_vec3().unwrap();

    let mut brute = Vec::new();
    for (image, target) in TARGET.into_iter().enumerate() {
        let (up, down) = (logits(image, STEP), logits(image, -STEP));
        let mut map = vec![0f32; area];
        for (c, channel) in activation[image].iter().enumerate() {
            let rise = up[c][target as usize] - down[c][target as usize];
            let weight = rise / (2.0 * STEP) / area as f32;
            for (sum, a) in map.iter_mut().zip(channel) {
                *sum += weight * a;
            }
        }
        normalize(&mut map);
        brute.extend(map);
    }

    let ours = subject
        .explain(&GradCam::default(), subject.logits().unwrap(), Target::Given(&TARGET))
        .unwrap();
    assert_close(&ours.maps, &brute, 0.05);
}

#[test]
fn a_map_does_not_depend_on_its_batch() {
    let network = network();
    let tap = network.resolve_tap(None).unwrap();
    let both =
        explain(&network, &GradCam::default(), &tap, &images(), Target::Predicted).unwrap();
    for image in 0..2 {
        let alone = images().narrow(0, image, 1).unwrap();
        let alone = explain(&network, &GradCam::default(), &tap, &alone, Target::Predicted)
            .unwrap();
        assert_eq!(alone.maps, both.map(image));
        assert_eq!(alone.logits, both.logits[image * CLASSES..][..CLASSES]);
        assert_eq!(alone.target, [both.predicted[image]]);
    }
}

#[test]
fn a_network_that_is_not_finite_is_said_to_be() {
    let network = network();
    let bias = &network.parameters()["fc.bias"];
    bias.set(&Tensor::new(&[0.0, f32::NAN, 0.0], &Device::Cpu).unwrap()).unwrap();
    let tap = network.resolve_tap(None).unwrap();
    let broken =
        explain(&network, &GradCam::default(), &tap, &images(), Target::Predicted).unwrap();
    assert_eq!(broken.status, [Status::NotFinite; 2]);
    assert!(broken.maps.iter().all(|value| value.is_finite()));
}

#[test]
fn a_tap_without_places_is_refused() {
    let network = network();
    let tap = network.resolve_tap(Some("fc")).unwrap();
    let refused =
        explain(&network, &GradCam::default(), &tap, &images(), Target::Predicted);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("tap `fc`"), "{said}");
}

/// The way back to the pixels is one, whether a method takes it along to the tap, goes none
/// itself, or is not asked at all; and the map does not notice.
#[test]
fn a_way_back_that_is_shared_is_the_same_way() {
    let (network, images) = (network(), images());
    let tap = network.resolve_tap(None).unwrap();
    let seed = Tensor::new(&[[1f32, -2.0, 0.5]], &Device::Cpu).unwrap();
    let subject = || {
        let pixels = Node::variable(&images);
        Subject::new(&network, &tap, &pixels).unwrap()
    };
    let pixels = |subject: Subject<'_>| -> Vec<f32> {
        let gradients = subject.backward().unwrap();
        gradients.get(&images).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let map = |subject: &Subject<'_>, by: &dyn explain::Explainer| {
        subject.explain(by, subject.logits().unwrap(), Target::Given(&TARGET)).unwrap()
    };
    let alone = pixels(subject().going_back(vec![1], seed.clone()));
    assert!(alone.iter().any(|d| *d != 0.0));
    for by in [&GradCam::default() as &dyn explain::Explainer, &explain::EigenCam] {
        let shared = subject().going_back(vec![1], seed.clone());
        assert_eq!(map(&shared, by), map(&subject(), by));
        // a second explanation finds the way gone already
        assert_eq!(map(&shared, by), map(&subject(), by));
        assert_eq!(pixels(shared), alone);
    }
    assert!(subject().backward().unwrap().get(&images).is_none());
}
