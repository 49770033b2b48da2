//! Every gradient against central differences, at odd and oblong sizes, on every device.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use candle_core::{Result, Tensor};
use common::{bits, check, devices::devices, half_integers, integers, uniform, values};
use ops::{Activation, Conv2d, Fold, Node, Pool2d, Then, activate};

/// Kernel, stride and padding of pooling layers.
const POOLS: [Pool2d; 5] = [
    Pool2d { kernel: (2, 2), stride: (2, 2), padding: (0, 0) },
    Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1) },
    Pool2d { kernel: (2, 3), stride: (1, 2), padding: (1, 0) },
    Pool2d { kernel: (2, 2), stride: (3, 4), padding: (0, 1) },
    Pool2d { kernel: (1, 3), stride: (1, 1), padding: (0, 1) },
];

/// Shapes of input and weights, stride and groups; the padding is half the kernel.
type Shapes = ([usize; 4], [usize; 4], usize, usize);

/// Dense, depthwise, pointwise and strided, with four channels in the result.
const WAYS: [Shapes; 4] = [
    ([2, 3, 7, 6], [4, 3, 3, 3], 1, 1),
    ([2, 4, 7, 6], [4, 1, 3, 3], 1, 4),
    ([2, 3, 16, 17], [4, 3, 1, 1], 1, 1),
    ([2, 3, 7, 6], [4, 3, 1, 1], 2, 1),
];

fn geometry((_, weights, stride, groups): Shapes) -> Conv2d {
    let padding = (weights[2] - 1) / 2;
    let (stride, padding) = ((stride, stride), (padding, padding));
    Conv2d { stride, padding, groups, ..Conv2d::default() }
}

fn result((x, weights, stride, _): Shapes) -> [usize; 4] {
    let [height, width] = [x[2], x[3]].map(|size| (size - 1) / stride + 1);
    [x[0], weights[0], height, width]
}

#[test]
fn convolution() {
    let bias = uniform(&[4], 2);
    for (stride, padding, dilation, groups, kernel) in [
        ((1, 1), (1, 1), (1, 1), 1, (3, 3)),
        ((2, 2), (1, 1), (1, 1), 1, (3, 3)),
        ((1, 2), (0, 1), (2, 1), 2, (2, 3)),
        ((2, 2), (1, 1), (1, 1), 4, (3, 3)),
        ((2, 2), (0, 0), (1, 1), 1, (1, 1)),
    ] {
        let conv = Conv2d { stride, padding, dilation, groups };
        let weight = uniform(&[4, 4 / groups, kernel.0, kernel.1], 1);
        let inputs = [values(&[2, 4, 9, 7], 0), weight, bias.clone()];
        check(&format!("{conv:?}"), &inputs, |x| {
            ops::conv2d(&x[0], &x[1], Some(&x[2]), conv)
        });
    }
}

#[test]
fn a_convolution_and_its_activation() {
    for shapes in WAYS {
        // sums of integers and a half: never near a kink
        let weight = uniform(&shapes.1, 1).round().unwrap();
        let bias = (integers(&[4], 2) + 0.5).unwrap();
        let (inputs, conv) = ([integers(&shapes.0, 0), weight, bias], geometry(shapes));
        for activation in [Activation::Relu, Activation::Relu6] {
            check(&format!("{activation:?} of {shapes:?}"), &inputs, |x| {
                ops::conv2d_activated(&x[0], &x[1], Some(&x[2]), conv, activation)
            });
        }
    }
}

#[test]
fn a_convolution_with_a_normalisation_folded_in() -> Result<()> {
    for shapes in WAYS {
        let weight = uniform(&shapes.1, 1).round()?;
        let inputs = [integers(&shapes.0, 0), integers(&result(shapes), 2)];
        for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
            // without a shortcut and with one
            for inputs in [&inputs[..1], &inputs[..]] {
                check(&format!("{activation:?} of {shapes:?}"), inputs, |x| {
                    let then = Then { shortcut: x.get(1), activation };
                    let fold = half_integers(x[0].device())?;
                    let weight = weight.to_device(x[0].device())?;
                    ops::conv2d_folded(&x[0], &weight, geometry(shapes), &fold, then)
                });
            }
        }
    }
    Ok(())
}

#[test]
fn a_folded_convolution_is_what_its_parts_are_bit_by_bit_but_for_the_gradient_of_x()
-> Result<()> {
    // several panels of channels, and Winograd's tiles, the last of which are cut
    let others =
        [([9, 16, 5, 6], [40, 16, 3, 3], 1, 1), ([2, 64, 7, 6], [65, 64, 3, 3], 1, 1)];
    for shapes in WAYS.into_iter().chain(others) {
        let channels = [shapes.1[0]];
        let [gamma, beta, mean] = [2, 3, 4].map(|seed| uniform(&channels, seed));
        let variance = (uniform(&channels, 5) + 1.5)?;
        let fold = Fold::new(&gamma, &beta, &mean, &variance, 1e-5)?;
        let (weight, conv) = (uniform(&shapes.1, 1), geometry(shapes));
        let inputs = [values(&shapes.0, 0), uniform(&result(shapes), 6)];
        for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
            for inputs in [&inputs[..1], &inputs[..]] {
                let folded = bits(inputs, |x| {
                    let then = Then { shortcut: x.get(1), activation };
                    ops::conv2d_folded(&x[0], &weight, conv, &fold, then)
                })?;
                let parts = bits(inputs, |x| {
                    let then = Then { shortcut: x.get(1), activation };
                    let y = ops::conv2d(&x[0], &Node::from(&weight), None, conv)?;
                    ops::batch_norm_eval(&y, &fold, then)
                })?;
                let name = format!("{activation:?} of {shapes:?}");
                assert!(folded[0] == parts[0], "{name}");
                // the scale is multiplied with the weights there, with the gradient here
                let distance = distance(&folded[1], &parts[1]);
                assert!(distance < 1e-6, "{name}: the gradients are {distance} apart");
                assert!(folded[2..] == parts[2..], "{name}: gradient of the shortcut");
            }
        }
    }
    Ok(())
}

/// The largest difference of two arrays of bits, in units of the largest value.
fn distance(a: &[u32], b: &[u32]) -> f32 {
    let pairs = a.iter().zip(b).map(|(a, b)| (f32::from_bits(*a), f32::from_bits(*b)));
    assert!(pairs.clone().all(|(a, b)| (a - b).is_finite()), "every gradient is a number");
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, f32::max);
    largest(&mut pairs.clone().map(|(a, b)| (a - b).abs()))
        / largest(&mut pairs.map(|(a, _)| a.abs()))
}

#[test]
fn linear_layer() {
    let inputs = [values(&[5, 7], 0), uniform(&[3, 7], 1), uniform(&[3], 2)];
    check("linear", &inputs, |x| ops::linear(&x[0], &x[1], Some(&x[2])));
    check("linear", &inputs[..2], |x| ops::linear(&x[0], &x[1], None));
}

#[test]
fn maximum_pooling() {
    for pool in POOLS {
        let x = values(&[2, 3, 7, 9], 0);
        check(&format!("{pool:?}"), &[x], |x| ops::max_pool2d(&x[0], pool));
    }
}

#[test]
fn average_pooling() {
    for pool in POOLS {
        let x = values(&[2, 3, 9, 7], 0);
        check(&format!("{pool:?}"), &[x], |x| ops::avg_pool2d(&x[0], pool));
    }
}

#[test]
fn adaptive_average_pooling() {
    for size in [(1, 1), (3, 2), (7, 11), (5, 7)] {
        let x = values(&[2, 3, 7, 5], 0);
        check(&format!("{size:?}"), &[x], |x| ops::adaptive_avg_pool2d(&x[0], size));
    }
}

#[test]
fn batch_normalisation_with_the_statistics_of_the_batch() {
    for shape in [[3, 2, 5, 7], [2, 3, 1, 1], [1, 4, 3, 2], [2, 1, 17, 9]] {
        let [gamma, beta] = [1, 2].map(|seed| uniform(&[shape[1]], seed));
        check(&format!("{shape:?}"), &[values(&shape, 0), gamma, beta], |x| {
            Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-2, Then::NOTHING)?.0)
        });
    }
}

#[test]
fn batch_normalisation_and_what_follows_it() {
    let shape = [3, 4, 5, 6];
    // half-integers, and less than a half of what varies: never near a kink
    let gamma = uniform(&[4], 1).affine(0.05, 0.1).unwrap();
    let beta = (uniform(&[4], 2) * 0.1).unwrap();
    let shortcut = integers(&shape, 3).affine(2.0, 2.5).unwrap();
    let inputs = [values(&shape, 0), gamma, beta, shortcut];
    for activation in [Activation::Relu, Activation::Relu6] {
        check(&format!("{activation:?}"), &inputs, |x| {
            let then = Then { shortcut: Some(&x[3]), activation };
            Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-2, then)?.0)
        });
    }
}

#[test]
fn what_follows_a_normalisation_is_bit_by_bit_what_it_is_alone() -> Result<()> {
    let shape = [3, 4, 5, 7];
    let inputs =
        [values(&shape, 0), uniform(&[4], 1), uniform(&[4], 2), uniform(&shape, 3)];
    let norm = |x: &[Node], then: Then<'_>| -> Result<Node> {
        Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-5, then)?.0)
    };
    let activation = Activation::Relu;
    let together = bits(&inputs, |x| norm(x, Then { shortcut: Some(&x[3]), activation }))?;
    let sum = |x: &[Node]| {
        norm(x, Then { shortcut: Some(&x[3]), activation: Activation::Identity })
    };
    let apart = bits(&inputs, |x| activate(&sum(x)?, activation))?;
    assert!(together == apart, "with a shortcut");

    let together = bits(&inputs[..3], |x| norm(x, Then { activation, ..Then::NOTHING }))?;
    let apart = bits(&inputs[..3], |x| activate(&norm(x, Then::NOTHING)?, activation))?;
    assert!(together == apart, "without a shortcut");
    Ok(())
}

#[test]
fn batch_normalisation_with_running_statistics() -> Result<()> {
    let (gamma, beta) = (uniform(&[3], 1), uniform(&[3], 2));
    let (mean, variance) = (uniform(&[3], 3), (uniform(&[3], 4) + 1.5)?);
    check("evaluation", &[values(&[2, 3, 5, 7], 0)], |x| {
        let of = |parameter: &Tensor| parameter.to_device(x[0].device());
        let fold =
            Fold::new(&of(&gamma)?, &of(&beta)?, &of(&mean)?, &of(&variance)?, 1e-5)?;
        ops::batch_norm_eval(&x[0], &fold, Then::NOTHING)
    });
    let inputs = [integers(&[2, 4, 5, 7], 0), integers(&[2, 4, 5, 7], 1)];
    for activation in [Activation::Relu, Activation::Relu6] {
        check(&format!("evaluation, {activation:?}"), &inputs, |x| {
            let fold = half_integers(x[0].device())?;
            ops::batch_norm_eval(&x[0], &fold, Then { shortcut: Some(&x[1]), activation })
        });
    }
    Ok(())
}

#[test]
fn rectified_units() {
    check("relu", &[values(&[3, 5, 7], 0)], |x| activate(&x[0], Activation::Relu));
    // the kinks of relu6 at places between values
    let x = (values(&[3, 5, 6], 0) * 4.0).unwrap();
    check("relu6", &[x], |x| activate(&x[0], Activation::Relu6));
}

#[test]
fn dropout() {
    check("dropout", &[values(&[3, 5, 7], 0)], |x| ops::dropout(&x[0], 0.4, 9));
}

#[test]
fn normalisation_of_pixels() {
    check("normalize", &[values(&[2, 3, 5, 3], 0)], |x| {
        ops::normalize(&x[0], &[0.4, 0.5, 0.6], &[0.2, 0.3, 2.0])
    });
}

#[test]
fn losses() {
    let z = values(&[5, 7], 0);
    let targets = uniform(&[5, 7], 1).affine(0.5, 0.5).unwrap();
    let inputs = [z];
    check("cross_entropy", &inputs, |z| ops::cross_entropy(&z[0], &[0, 6, 3, 3, 1]));
    check("bce", &inputs, |z| {
        ops::bce_with_logits(&z[0], &targets.to_device(z[0].device())?)
    });
}

#[test]
fn arguments_and_gradients_that_are_not_contiguous() -> Result<()> {
    let pool = |x: &Node| ops::max_pool2d(x, POOLS[1]);
    let x = values(&[2, 3, 7, 5], 0).transpose(2, 3)?;
    let inputs = std::slice::from_ref(&x);
    check("relu", inputs, |x| activate(&x[0], Activation::Relu));
    check("pool", inputs, |x| pool(&x[0]));
    let seed = values(&[2, 3, 4, 3], 1).transpose(2, 3)?;
    for device in devices() {
        let x = x.to_device(&device)?;
        let y = pool(&Node::variable(&x))?;
        let gradient = |seed: &Tensor| -> Result<Vec<f32>> {
            ops::host(y.clone().backward(&seed.to_device(&device)?)?.get(&x).unwrap())
        };
        assert_eq!(gradient(&seed)?, gradient(&seed.contiguous()?)?);
    }
    Ok(())
}

#[test]
fn a_sample_in_evaluation_mode_does_not_know_its_batch() -> Result<()> {
    let x = values(&[5, 3, 9, 7], 0);
    let (gamma, beta) = (uniform(&[3], 1), uniform(&[3], 2));
    let (mean, variance) = (uniform(&[3], 3), (uniform(&[3], 4) + 2.0)?);
    let fold = Fold::new(&gamma, &beta, &mean, &variance, 1e-5)?;
    let network = |x: &Tensor| -> Result<Node> {
        let x = ops::normalize(&Node::from(x), &[0.1, 0.2, 0.3], &[0.7, 0.8, 0.9])?;
        let x = ops::batch_norm_eval(&x, &fold, Then::NOTHING)?;
        let x = ops::max_pool2d(&activate(&x, Activation::Relu6)?, POOLS[1])?;
        let x = ops::avg_pool2d(&x, POOLS[4])?;
        ops::adaptive_avg_pool2d(&x, (2, 3))?.flatten_from(1)
    };
    let whole = network(&x)?.to_vec2::<f32>()?;
    for (i, row) in whole.iter().enumerate() {
        assert_eq!(network(&x.narrow(0, i, 1)?)?.to_vec2::<f32>()?[0], *row, "{i}");
    }
    Ok(())
}

#[test]
fn other_types_than_f32_are_refused() -> Result<()> {
    let x = Node::from(&values(&[2, 3, 4, 4], 0).to_dtype(candle_core::DType::F64)?);
    let error = ops::max_pool2d(&x, POOLS[0]).unwrap_err().to_string();
    assert!(error.contains("on a GPU, found F64"), "{error}");
    assert!(activate(&x, Activation::Relu).is_err());
    Ok(())
}
