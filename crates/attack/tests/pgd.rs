//! Projected gradient descent on small random networks.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use attack::{Directions, Error, Target, compose_batch, fgsm, pgd};
use candle_core::{DType, Device, Tensor};
use models::{Arch, Mode, Network, Normalization};
use ops::{Node, perturb::pgd_step};

const BATCH: usize = 3;
const SIZE: usize = 16;
const PIXELS: usize = 3 * SIZE * SIZE;
const LABELS: [i64; BATCH] = [0, 3, 1];
const TARGET: Target<'_> = Target::Single(&LABELS);

fn network() -> Network {
    let norm = Normalization { mean: [0.5, 0.4, 0.6], std: [0.25, 0.2, 0.3] };
    Network::new(Arch::Resnet20, 4, norm, 7).unwrap()
}

/// Pixels in [0, 1] which look random: the fractions of the golden ratio's multiples.
fn images() -> Tensor {
    let pixels: Vec<f32> =
        (0..BATCH * PIXELS).map(|i| (i as f32 * 0.618_034).fract()).collect();
    Tensor::from_vec(pixels, (BATCH, 3, SIZE, SIZE), &Device::Cpu).unwrap()
}

fn values(images: &Tensor) -> Vec<f32> {
    images.flatten_all().unwrap().to_vec1().unwrap()
}

fn losses(net: &Network, images: &Tensor) -> Vec<f32> {
    let logits = net.forward(&Node::from(images), Mode::Eval).unwrap();
    let logits = values(logits.tensor());
    let rows = logits.chunks_exact(4).zip(LABELS);
    rows.map(|(z, label)| ops::softmax::cross_entropy(z, label as usize)).collect()
}

#[test]
fn it_stays_within_epsilon_and_in_the_image() {
    for epsilon in [0.01, 0.1, 0.6] {
        let perturbed = values(&pgd(&network(), &images(), TARGET, epsilon).unwrap());
        let mut at_the_border = 0;
        for (x, perturbed) in values(&images()).into_iter().zip(perturbed) {
            assert!((0.0..=1.0).contains(&perturbed), "{perturbed}");
            assert!((x - epsilon..=x + epsilon).contains(&perturbed), "{x} {perturbed}");
            at_the_border +=
                usize::from([x - epsilon, 0.0, x + epsilon, 1.0].contains(&perturbed));
        }
        assert!(at_the_border > BATCH * PIXELS / 4, "{at_the_border} at the border");
    }
}

#[test]
fn it_raises_the_loss_at_least_as_much_as_one_step_does() {
    let (net, x, epsilon) = (network(), images(), 0.03);
    let signs = fgsm(&net, &x, TARGET).unwrap();
    let maps = Tensor::zeros((BATCH, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let signs = Directions::Signs(signs);
    let one = compose_batch(&x, &[0, 1, 2], &signs, &maps, [epsilon; 3]).unwrap();
    let ten = pgd(&net, &x, TARGET, epsilon).unwrap();
    let (clean, one, ten) = (losses(&net, &x), losses(&net, &one), losses(&net, &ten));
    for i in 0..BATCH {
        assert!(clean[i] < one[i] && one[i] <= ten[i], "{clean:?} {one:?} {ten:?}");
    }
}

#[test]
fn each_step_looks_at_where_the_last_one_led() {
    let (net, x, epsilon) = (network(), images(), 0.05);
    let mut now = x.clone();
    for _ in 0..10 {
        let signs = fgsm(&net, &now, TARGET).unwrap();
        now = pgd_step(&x, &now, &signs, epsilon).unwrap();
    }
    assert_eq!(values(&pgd(&net, &x, TARGET, epsilon).unwrap()), values(&now));
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let together = pgd(&network(), &images(), TARGET, 0.1).unwrap();
    let x = images().narrow(0, 1, 1).unwrap();
    let alone = pgd(&network(), &x, Target::Single(&LABELS[1..2]), 0.1).unwrap();
    assert_eq!(values(&alone), values(&together)[PIXELS..2 * PIXELS]);
}

#[test]
fn no_epsilon_changes_nothing() {
    let perturbed = pgd(&network(), &images(), TARGET, 0.0).unwrap();
    assert_eq!(values(&perturbed), values(&images()));
}

#[test]
fn a_gradient_that_is_not_finite_stops_it() {
    let net = network();
    let nan = Tensor::full(f32::NAN, 4, &Device::Cpu).unwrap();
    net.parameters()["fc.bias"].set(&nan).unwrap();
    let error = pgd(&net, &images(), TARGET, 0.1).unwrap_err();
    assert!(matches!(error, Error::NotFinite { position: 0, .. }), "{error}");
}
