//! Taps, modes and initialisation.

use std::collections::BTreeMap;

use candle_core::Tensor;
use models::{Arch, Error, Mode, Network};
use ops::Node;

use crate::formula::{self, CLASSES, NORM};

fn network(arch: Arch) -> Network {
    Network::new(arch, CLASSES, NORM, 0).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn shape(net: &Network, tap: Option<&str>, height: usize, width: usize) -> Vec<usize> {
    let tap = net.resolve_tap(tap).unwrap();
    let x = formula::pixels(1, height, width);
    net.features(&x, &tap, Mode::Eval).unwrap().dims().to_vec()
}

#[test]
fn default_taps_have_their_shapes() {
    // channels, then the map at 64×64, 96×96 and 75×53, by halving: down in VGG's pooling,
    // up in the padded strides of the others
    let expected = [
        (Arch::Vgg16, 512, [[4, 4], [6, 6], [4, 3]]),
        (Arch::Resnet18, 512, [[2, 2], [3, 3], [3, 2]]),
        (Arch::Resnet50, 2048, [[2, 2], [3, 3], [3, 2]]),
        (Arch::MobilenetV2, 1280, [[2, 2], [3, 3], [3, 2]]),
        (Arch::Resnet20, 64, [[16, 16], [24, 24], [19, 14]]),
    ];
    for (arch, channels, maps) in expected {
        let net = network(arch);
        for ([height, width], [h, w]) in
            [[64, 64], [96, 96], [75, 53]].into_iter().zip(maps)
        {
            assert_eq!(shape(&net, None, height, width), [1, channels, h, w], "{arch}");
        }
    }
}

#[test]
fn the_last_layer_reads_the_penultimate_features() {
    let x = formula::pixels(2, 64, 64);
    let widths = [
        (Arch::Vgg16, 4096, "classifier.5"),
        (Arch::Resnet50, 2048, "flatten"),
        (Arch::MobilenetV2, 1280, "classifier.0"),
        (Arch::Resnet20, 64, "flatten"),
    ];
    for (arch, width, name) in widths {
        let net = network(arch);
        let tap = net.penultimate();
        assert_eq!(tap.name(), name);
        let features = net.features(&x, &tap, Mode::Eval).unwrap();
        assert_eq!(features.dims(), [2, width], "{arch}");
        let head = net.head(&features, &tap, Mode::Eval).unwrap();
        let logits = net.forward(&x, Mode::Eval).unwrap();
        assert_eq!(values(head.tensor()), values(logits.tensor()), "{arch}");
    }
    // one of them is the mean over the places at the default tap
    let net = network(Arch::Resnet20);
    let at = |tap| values(net.features(&x, &tap, Mode::Eval).unwrap().tensor());
    let (means, places) = (at(net.penultimate()), at(net.resolve_tap(None).unwrap()));
    for (mean, places) in means.iter().zip(places.chunks_exact(16 * 16)) {
        let sum: f64 = places.iter().copied().map(f64::from).sum();
        let (mean, expected) = (f64::from(*mean), sum / 256.0);
        assert!((mean - expected).abs() <= 1e-5 * expected.abs(), "{mean} {expected}");
    }
}

#[test]
fn taps_are_blocks_and_groups_in_order() {
    let expected = "conv1 bn1 relu layer1.0 layer1.1 layer1.2 layer1 layer2.0 layer2.1 \
                    layer2.2 layer2 layer3.0 layer3.1 layer3.2 layer3 avgpool flatten fc";
    assert_eq!(network(Arch::Resnet20).taps().join(" "), expected);

    let net = network(Arch::Resnet18);
    assert_eq!(shape(&net, Some("maxpool"), 64, 64), [1, 64, 16, 16]);
    assert_eq!(shape(&net, Some("layer2"), 64, 64), [1, 128, 8, 8]);
    assert_eq!(net.resolve_tap(None).unwrap().name(), "layer4");

    let net = network(Arch::MobilenetV2);
    assert_eq!(shape(&net, Some("features.3"), 64, 64), [1, 24, 16, 16]);
    assert_eq!(shape(&net, Some("flatten"), 64, 64), [1, 1280]);
}

#[test]
fn a_block_is_taken_over_with_its_statistics_and_no_other_is() {
    for (arch, block) in [
        (Arch::Resnet20, "layer3.0"),
        (Arch::Resnet20, "bn1"),
        (Arch::MobilenetV2, "features.3"),
    ] {
        let (ours, theirs) = (network(arch), Network::new(arch, CLASSES, NORM, 1).unwrap());
        let x = formula::pixels(2, 64, 64);
        // moves the running statistics
        theirs.forward(&x, Mode::Train { dropout_seed: 0 }).unwrap();
        let copy = |network: &Network| {
            let state = network.state().unwrap().into_iter();
            state.map(|(name, tensor)| (name, tensor.copy().unwrap())).collect()
        };
        let before: BTreeMap<String, Tensor> = copy(&ours);
        assert!(ours.blocks().contains(&block), "{:?}", ours.blocks());
        ours.copy_block(block, &theirs).unwrap();
        let expected = theirs.state().unwrap();
        for (name, tensor) in ours.state().unwrap() {
            let taken = name.starts_with(&format!("{block}."));
            let expected = if taken { &expected[&name] } else { &before[&name] };
            assert_eq!(tensor.to_string(), expected.to_string(), "{name}");
        }
    }
}

#[test]
fn blocks_are_what_has_parameters_and_all_of_them() {
    for arch in [Arch::Vgg16Bn, Arch::Resnet50, Arch::MobilenetV2, Arch::Resnet20] {
        let (ours, theirs) = (network(arch), Network::new(arch, CLASSES, NORM, 1).unwrap());
        let blocks = ours.blocks().join(" ");
        assert!(!blocks.contains("relu") && !blocks.contains("pool"), "{blocks}");
        for block in ours.blocks() {
            ours.copy_block(block, &theirs).unwrap();
        }
        let x = formula::pixels(1, 32, 32);
        let logits = |network: &Network| values(&network.forward(&x, Mode::Eval).unwrap());
        assert_eq!(logits(&ours), logits(&theirs), "{arch}");
    }
}

#[test]
fn a_block_of_another_network_is_refused() {
    let error = network(Arch::Resnet20).copy_block("fc", &network(Arch::Resnet18));
    let message = error.unwrap_err().to_string();
    assert!(message.contains("resnet20") && message.contains("resnet18"), "{message}");
}

#[test]
fn a_tap_of_another_network_is_refused() {
    let (small, large) = (network(Arch::Resnet20), network(Arch::Resnet18));
    let message = small.resolve_tap(Some("layer4")).unwrap_err().to_string();
    assert!(message.contains("no tap `layer4`") && message.contains("layer3.2, layer3"));
    let foreign = large.resolve_tap(Some("layer3")).unwrap();
    let refused = small.features(&formula::pixels(1, 32, 32), &foreign, Mode::Eval);
    assert!(matches!(refused, Err(Error::UnknownTap { .. })));
}

#[test]
fn head_of_features_is_forward_at_every_tap() {
    for arch in [Arch::Vgg16Bn, Arch::Resnet50, Arch::MobilenetV2, Arch::Resnet20] {
        let net = network(arch);
        let x = formula::pixels(1, 32, 32);
        let expected = values(&net.forward(&x, Mode::Eval).unwrap());
        for name in net.taps() {
            let tap = net.resolve_tap(Some(&name)).unwrap();
            let a = net.features(&x, &tap, Mode::Eval).unwrap();
            let found = net.head(&a, &tap, Mode::Eval).unwrap();
            assert_eq!(values(&found), expected, "{arch} {name}");
        }
    }
}

#[test]
fn in_evaluation_an_image_does_not_depend_on_its_batch() {
    for arch in
        [Arch::Vgg16, Arch::Resnet18, Arch::Resnet50, Arch::MobilenetV2, Arch::Resnet20]
    {
        let net = network(arch);
        let x = formula::pixels(5, 48, 40);
        let together = net.forward(&x, Mode::Eval).unwrap();
        for i in 0..5 {
            let alone = Node::from(&x.narrow(0, i, 1).unwrap());
            let alone = net.forward(&alone, Mode::Eval).unwrap();
            let row = together.narrow(0, i, 1).unwrap();
            assert_eq!(values(&alone), values(&row), "{arch} {i}");
        }
    }
}

#[test]
fn in_evaluation_the_input_has_a_gradient_and_the_parameters_have_none() {
    let net = network(Arch::Resnet20);
    let x = formula::pixels(2, 32, 32);
    let logits = net.forward(&Node::variable(&x), Mode::Eval).unwrap();
    let ones = logits.ones_like().unwrap();
    let gradients = logits.backward(&ones).unwrap();
    let gradient = gradients.get(&x).unwrap();
    assert!(values(gradient).iter().any(|&g| g != 0.0));
    assert!(net.parameters().values().all(|p| gradients.get(p).is_none()));
}

#[test]
fn gradients_of_some_images_are_those_of_all() {
    for arch in [Arch::Vgg16, Arch::Resnet50, Arch::MobilenetV2, Arch::Resnet20] {
        let net = network(arch);
        let x = formula::pixels(4, 40, 48);
        let logits = net.forward(&Node::variable(&x), Mode::Eval).unwrap();
        let seed = logits.tensor().clone();
        let all = logits.clone().backward(&seed).unwrap();
        let rows = [3, 1];
        let index = Tensor::new(&rows, x.device()).unwrap();
        let some = seed.index_select(&index, 0).unwrap();
        let found = logits.backward_rows(&rows, &some).unwrap();
        let expected =
            all.get(&x).unwrap().contiguous().unwrap().index_select(&index, 0).unwrap();
        assert_eq!(values(found.get(&x).unwrap()), values(&expected), "{arch}");
    }
}

#[test]
fn gradients_of_some_images_are_refused_in_training() {
    let net = network(Arch::Resnet20);
    let logits =
        net.forward(&formula::pixels(2, 32, 32), Mode::Train { dropout_seed: 0 }).unwrap();
    let seed = logits.narrow(0, 0, 1).unwrap();
    let error = logits.backward_rows(&[0], &seed).unwrap_err().to_string();
    assert!(error.contains("gradients of some rows of a batch alone"), "{error}");
}

#[test]
fn in_training_every_parameter_has_a_gradient() {
    for arch in [Arch::Resnet50, Arch::MobilenetV2, Arch::Resnet20] {
        let net = network(arch);
        let x = formula::pixels(2, 64, 64);
        let logits = net.forward(&x, Mode::Train { dropout_seed: 1 }).unwrap();
        // of the sum of the squares
        let twice = (logits.tensor() * 2.0).unwrap();
        let gradients = logits.backward(&twice).unwrap();
        for (name, parameter) in net.parameters() {
            let gradient = gradients.get(parameter).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(gradient.dims(), parameter.dims(), "{name}");
        }
    }
}

#[test]
fn only_training_moves_the_running_statistics() {
    let net = network(Arch::Resnet20);
    let x = formula::pixels(2, 32, 32);
    let mean = |net: &Network| values(&net.state().unwrap()["bn1.running_mean"]);
    net.forward(&x, Mode::Eval).unwrap();
    assert_eq!(mean(&net), [0.0; 16]);
    net.forward(&x, Mode::Train { dropout_seed: 0 }).unwrap();
    assert_ne!(mean(&net), [0.0; 16]);
    let batches = &net.state().unwrap()["layer3.2.bn2.num_batches_tracked"];
    assert_eq!(batches.to_scalar::<i64>().unwrap(), 1);
}

#[test]
fn dropout_is_a_function_of_its_seed() {
    let net = network(Arch::MobilenetV2);
    let flat = net.resolve_tap(Some("flatten")).unwrap();
    let a = net.features(&formula::pixels(1, 32, 32), &flat, Mode::Eval).unwrap();
    let logits =
        |dropout_seed| values(&net.head(&a, &flat, Mode::Train { dropout_seed }).unwrap());
    assert_eq!(logits(1), logits(1));
    assert_ne!(logits(1), logits(2));
}

#[test]
fn initialisation_is_a_function_of_its_seed() {
    let first = |seed| {
        let net = Network::new(Arch::Resnet20, CLASSES, NORM, seed).unwrap();
        values(&net.parameters()["layer1.0.conv1.weight"])
    };
    assert_eq!(first(3), first(3));
    assert_ne!(first(3), first(4));
}

#[test]
fn initialisation_has_the_deviations_of_torchvision() {
    // of the classifier's weights; a uniform ±b has b/√3
    let expected = [
        (Arch::MobilenetV2, "classifier.1.weight", 0.01),
        (Arch::MobilenetV2, "features.2.conv.1.0.weight", (2.0f64 / (96.0 * 9.0)).sqrt()),
        (Arch::Resnet50, "fc.weight", (1.0f64 / (2048.0 * 3.0)).sqrt()),
        (Arch::Resnet50, "layer4.2.conv2.weight", (2.0f64 / (512.0 * 9.0)).sqrt()),
        (Arch::Resnet50, "layer4.2.conv3.weight", (2.0f64 / 2048.0).sqrt()),
    ];
    for (arch, name, expected) in expected {
        let weights = values(&network(arch).parameters()[name]);
        let squares: f64 = weights.iter().map(|&w| f64::from(w).powi(2)).sum();
        let found = (squares / weights.len() as f64).sqrt();
        let bound = 4.0 / (weights.len() as f64).sqrt();
        assert!((found / expected - 1.0).abs() < bound, "{name}: {found}, not {expected}");
    }
    let net = network(Arch::Resnet20);
    assert_eq!(values(&net.parameters()["bn1.weight"]), [1.0; 16]);
    assert_eq!(values(&net.parameters()["bn1.bias"]), [0.0; 16]);
    assert!(values(&net.parameters()["fc.bias"]).iter().all(|b| b.abs() < 0.125));
}

#[test]
fn a_network_without_classes_is_refused() {
    let refused = Network::new(Arch::Resnet20, 0, NORM, 0);
    assert!(matches!(refused, Err(Error::NoClasses { .. })));
}

#[test]
fn a_network_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Network>();
}
