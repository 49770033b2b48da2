//! The direction of the attack on small random networks.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use attack::{Error, Target};
use candle_core::{Device, Tensor};
use models::{Arch, Mode, Network, Normalization};
use ops::{Node, bits};

const BATCH: usize = 3;
const SIZE: usize = 16;
const PIXELS: usize = 3 * SIZE * SIZE;

fn network(classes: usize) -> Network {
    let norm = Normalization { mean: [0.5, 0.4, 0.6], std: [0.25, 0.2, 0.3] };
    Network::new(Arch::Resnet20, classes, norm, 7).unwrap()
}

fn fgsm(net: &Network, images: &Tensor, target: Target<'_>) -> Vec<Vec<u8>> {
    attack::fgsm(net, images, target).unwrap().to_vec2().unwrap()
}

/// Pixels in [0, 1] which look random: the fractions of the golden ratio's multiples.
fn images() -> Tensor {
    let pixels: Vec<f32> =
        (0..BATCH * PIXELS).map(|i| (i as f32 * 0.618_034).fract()).collect();
    Tensor::from_vec(pixels, (BATCH, 3, SIZE, SIZE), &Device::Cpu).unwrap()
}

/// The gradient of a loss by the pixels, nothing factored out.
fn plain(net: &Network, loss: impl Fn(&Node) -> candle_core::Result<Node>) -> Vec<f32> {
    let x = images();
    let logits = net.forward(&Node::variable(&x), Mode::Eval).unwrap();
    let losses = loss(&logits).unwrap();
    let ones = losses.ones_like().unwrap();
    let gradients = losses.backward(&ones).unwrap();
    gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Asserts that the signs are the gradient's wherever rounding cannot have turned it.
fn same_signs(signs: &[Vec<u8>], gradient: &[f32]) {
    for (signs, gradient) in signs.iter().zip(gradient.chunks_exact(PIXELS)) {
        let largest = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
        assert!(largest > 0.0);
        let clear = |g: f32| g.abs() > 1e-4 * largest;
        let signs = bits::unpack_signs(signs, PIXELS);
        for (i, &g) in gradient.iter().enumerate().filter(|&(_, &g)| clear(g)) {
            assert_eq!(signs[i], g.signum(), "pixel {i}: {g}");
        }
        let seen = gradient.iter().filter(|&&g| clear(g)).count();
        assert!(seen > PIXELS / 2, "only {seen} pixels are clear");
    }
}

fn scale(net: &Network, name: &str, factor: f64, offset: &[f32]) {
    let variable = &net.parameters()[name];
    let scaled = (variable.as_detached_tensor() * factor).unwrap();
    let offset = Tensor::new(offset, &Device::Cpu).unwrap();
    variable.set(&scaled.broadcast_add(&offset).unwrap()).unwrap();
}

#[test]
fn the_signs_are_those_of_the_cross_entropy_gradient() {
    let net = network(4);
    let labels = [0, 3, 1];
    let signs = fgsm(&net, &images(), Target::Single(&labels));
    same_signs(&signs, &plain(&net, |z| ops::cross_entropy(z, &labels)));
}

#[test]
fn the_signs_are_those_of_the_binary_cross_entropy_gradient() {
    let net = network(4);
    let hot = [1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1];
    let signs = fgsm(&net, &images(), Target::Multi { classes: 4, hot: &hot });
    let targets: Vec<f32> = hot.iter().copied().map(f32::from).collect();
    let targets = Tensor::from_vec(targets, (BATCH, 4), &Device::Cpu).unwrap();
    same_signs(&signs, &plain(&net, |z| ops::bce_with_logits(z, &targets)));
}

#[test]
fn certainty_turns_no_sign() {
    let net = network(4);
    let labels = [2; BATCH];
    let signs = fgsm(&net, &images(), Target::Single(&labels));
    scale(&net, "fc.bias", 1.0, &[0.0, 0.0, 1e4, 0.0]);
    let gradient = plain(&net, |z| ops::cross_entropy(z, &labels));
    assert!(gradient.iter().all(|&g| g == 0.0), "the plain gradient has vanished");
    assert_eq!(fgsm(&net, &images(), Target::Single(&labels)), signs);
}

#[test]
fn scaled_logits_of_two_classes_turn_no_sign() {
    let net = network(2);
    let labels = [1, 0, 1];
    let signs = fgsm(&net, &images(), Target::Single(&labels));
    // a power of two, so that every product is exact
    let factor = f64::from(1u32 << 14);
    scale(&net, "fc.weight", factor, &[0.0]);
    scale(&net, "fc.bias", factor, &[0.0]);
    assert_eq!(fgsm(&net, &images(), Target::Single(&labels)), signs);
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let net = network(4);
    let together = fgsm(&net, &images(), Target::Single(&[0, 3, 1]));
    let alone = fgsm(&net, &images().narrow(0, 1, 1).unwrap(), Target::Single(&[3]));
    assert_eq!(alone, together[1..2]);
}

#[test]
fn one_class_alone_has_only_positive_signs() {
    let signs = fgsm(&network(1), &images(), Target::Single(&[0; BATCH]));
    assert_eq!(signs, vec![vec![0xff; PIXELS / 8]; BATCH]);
}

#[test]
fn a_gradient_that_is_not_finite_is_said_of_its_image() {
    let net = network(4);
    let mut pixels: Vec<f32> = images().flatten_all().unwrap().to_vec1().unwrap();
    pixels[PIXELS..2 * PIXELS].fill(f32::NAN);
    let broken = Tensor::from_vec(pixels, (BATCH, 3, SIZE, SIZE), &Device::Cpu).unwrap();
    let error = attack::fgsm(&net, &broken, Target::Single(&[0; BATCH])).unwrap_err();
    assert!(matches!(error, Error::NotFinite { position: 1, .. }), "{error}");
}

#[test]
fn of_several_that_are_not_finite_the_first_is_said() {
    let mut gradient = vec![1.0; 8 * 3];
    gradient[3..].fill(f32::INFINITY);
    let gradient = Tensor::from_vec(gradient, (8, 3, 1, 1), &Device::Cpu).unwrap();
    let error = attack::signs(&gradient).unwrap_err();
    assert!(matches!(error, Error::NotFinite { position: 1, .. }), "{error}");
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let net = network(4);
    let refusal = |target| attack::fgsm(&net, &images(), target).unwrap_err().to_string();
    assert_eq!(
        refusal(Target::Single(&[0, 1])),
        "expected the labels of 3 images, found those of 2"
    );
    assert_eq!(
        refusal(Target::Single(&[0, 1, 4])),
        "image 2 of the batch: expected a label below 4, found 4"
    );
    assert_eq!(
        refusal(Target::Multi { classes: 2, hot: &[0; 6] }),
        "expected labels of 4 classes, found 2"
    );
}
