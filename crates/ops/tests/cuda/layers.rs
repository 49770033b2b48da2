//! Everything but convolutions, and networks of a few layers.

use candle_core::{Result, Tensor};
use ops::{Activation, Conv2d, Fold, Node, Pool2d, Then, activate};

use crate::{
    common::{integers, uniform, values},
    comparison::Comparison,
    convolutions::{fold, half_integers, statistics},
};

/// Images as networks have them, and odd ones.
const IMAGES: [[usize; 4]; 5] =
    [[8, 64, 56, 56], [4, 960, 7, 7], [3, 3, 33, 29], [2, 20, 17, 9], [16, 20, 1, 1]];

const STEM: Pool2d = Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
const HALVE: Pool2d = Pool2d { kernel: (2, 2), stride: (2, 2), padding: (0, 0) };
const OBLONG: Pool2d = Pool2d { kernel: (2, 3), stride: (1, 2), padding: (1, 0) };

pub(crate) fn compare(comparison: &mut Comparison) {
    linear(comparison);
    normalisations(comparison);
    pools(comparison);
    pixels(comparison);
    losses(comparison);
    networks(comparison);
}

fn linear(comparison: &mut Comparison) {
    for (rows, inputs, outputs) in [
        (128, 2048, 1000),
        (32, 4608, 512),
        (100, 512, 10),
        (64, 1280, 20),
        (5, 7, 3),
        (1, 64, 1),
    ] {
        let parameters = [uniform(&[outputs, inputs], 1), uniform(&[outputs], 2)];
        let name = format!("linear, {rows} x {inputs} to {outputs}");
        let x = [uniform(&[rows, inputs], 0)];
        comparison
            .case(&name, &x, &parameters, |x, p| ops::linear(&x[0], &p[0], Some(&p[1])));
        comparison.case(&format!("{name}, no bias"), &x, &parameters[..1], |x, p| {
            ops::linear(&x[0], &p[0], None)
        });
    }
}

/// 1 and -1, as many of either in every channel.
fn alternating(shape: &[usize; 4]) -> Tensor {
    let &[_, channels, height, width] = shape;
    let plane = height * width;
    let sign = |i: usize| {
        let is_even = (i / (channels * plane) + i % plane) % 2 == 0;
        if is_even { 1f32 } else { -1.0 }
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(sign).collect();
    Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
}

fn normalisations(comparison: &mut Comparison) {
    for shape in IMAGES {
        let channels = shape[1];
        let inputs = [values(&shape, 0), uniform(&shape, 1)];
        let parameters = statistics(channels);
        // near -1.5 and 6.5, on either side of the kinks
        let apart = (alternating(&shape) + (&inputs[1] * 0.02).unwrap()).unwrap();
        let apart = [apart, integers(&shape, 2)];
        let [gamma, beta] = [3, 4].map(|seed| uniform(&[channels], seed));
        let around = [gamma.affine(0.05, 4.0).unwrap(), beta.affine(0.05, 2.5).unwrap()];
        for count in [1, 2] {
            let name = format!("{shape:?}, {count} inputs");
            comparison.case(
                &format!("statistics of the batch, {name}"),
                &inputs[..count],
                &parameters[..2],
                |x, p| {
                    let then = Then { shortcut: x.get(1), ..Then::NOTHING };
                    Ok(ops::batch_norm(&x[0], &p[0], &p[1], 1e-5, then)?.0)
                },
            );
            comparison.case(
                &format!("statistics of the batch, activated, {name}"),
                &apart[..count],
                &around,
                |x, p| {
                    let then = Then { shortcut: x.get(1), activation: Activation::Relu6 };
                    Ok(ops::batch_norm(&x[0], &p[0], &p[1], 1e-5, then)?.0)
                },
            );
            comparison.case(
                &format!("given statistics, {name}"),
                &inputs[..count],
                &parameters,
                |x, p| {
                    let then = Then { shortcut: x.get(1), ..Then::NOTHING };
                    ops::batch_norm_eval(&x[0], &fold(p)?, then)
                },
            );
            let whole = [integers(&shape, 0), integers(&shape, 1)];
            comparison.case(
                &format!("given statistics, activated, {name}"),
                &whole[..count],
                &half_integers(channels),
                |x, p| {
                    let then = Then { shortcut: x.get(1), activation: Activation::Relu };
                    let fold = Fold::new(&p[0], &p[1], &p[2], &p[3], 0.0)?;
                    ops::batch_norm_eval(&x[0], &fold, then)
                },
            );
        }
    }
}

fn pools(comparison: &mut Comparison) {
    for shape in [[4, 64, 112, 112], [2, 512, 14, 14], [3, 20, 33, 29]] {
        for pool in [STEM, HALVE, OBLONG] {
            let name = format!("{shape:?}, {pool:?}");
            comparison.case(
                &format!("maximum, {name}"),
                &[values(&shape, 0)],
                &[],
                |x, _| ops::max_pool2d(&x[0], pool),
            );
            let ties = [integers(&shape, 0)];
            comparison.case(&format!("maximum, equal, {name}"), &ties, &[], |x, _| {
                ops::max_pool2d(&x[0], pool)
            });
            comparison.case(
                &format!("average, {name}"),
                &[values(&shape, 0)],
                &[],
                |x, _| ops::avg_pool2d(&x[0], pool),
            );
        }
    }
    for (shape, size) in [
        ([8, 2048, 7, 7], (1, 1)),
        ([8, 1280, 3, 3], (1, 1)),
        ([4, 512, 3, 3], (7, 7)),
        ([4, 512, 7, 7], (7, 7)),
        ([3, 20, 9, 7], (4, 2)),
    ] {
        let name = format!("adaptive average, {shape:?} to {size:?}");
        comparison.case(&name, &[uniform(&shape, 0)], &[], |x, _| {
            ops::adaptive_avg_pool2d(&x[0], size)
        });
    }
}

fn pixels(comparison: &mut Comparison) {
    let image = [uniform(&[4, 3, 97, 95], 0).affine(0.5, 0.5).unwrap()];
    comparison.case("normalised pixels", &[], &image, |_, p| {
        ops::normalize(&p[0], &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225])
    });
    for shape in IMAGES {
        let halves = [(integers(&shape, 0) * 4.0).unwrap().affine(1.0, 0.5).unwrap()];
        for activation in [Activation::Relu, Activation::Relu6] {
            let name = format!("{activation:?}, {shape:?}");
            comparison.exact(&name, &halves, |x, _| activate(&x[0], activation));
        }
        let x = [uniform(&shape, 0)];
        comparison.exact(&format!("flat, {shape:?}"), &x, |x, _| x[0].flatten_from(1));
    }
    // far from 0: what is dropped shows
    let far = |shape: &[usize]| [(uniform(shape, 0) + 2.0).unwrap()];
    for shape in [&[64, 4096][..], &[100, 1280], &[3, 20, 17, 9], &[5, 7]] {
        for (p, seed) in [(0.5, 7), (0.2, u64::MAX)] {
            let name = format!("dropout of {p}, {shape:?}");
            comparison.exact(&name, &far(shape), |x, _| ops::dropout(&x[0], p, seed));
        }
    }
}

fn losses(comparison: &mut Comparison) {
    for shape in [[128, 1000], [100, 20], [3, 2], [1, 10]] {
        let logits = [(uniform(&shape, 0) * 8.0).unwrap()];
        let labels: Vec<i64> = (0..shape[0]).map(|i| (i * 7 % shape[1]) as i64).collect();
        comparison.case(&format!("cross-entropy, {shape:?}"), &[], &logits, |_, z| {
            ops::cross_entropy(&z[0], &labels)
        });
        let targets = uniform(&shape, 1).affine(0.5, 0.5).unwrap().round().unwrap();
        comparison.case(
            &format!("binary cross-entropy, {shape:?}"),
            &[],
            &logits,
            |_, z| ops::bce_with_logits(&z[0], &targets.to_device(z[0].device())?),
        );
    }
}

/// A residual block between a first layer and a last, trained; and evaluated, for some images.
fn networks(comparison: &mut Comparison) {
    let conv = |stride, padding| Conv2d {
        stride: (stride, stride),
        padding: (padding, padding),
        ..Conv2d::default()
    };
    let images = [uniform(&[8, 3, 64, 64], 0)];
    let scaled = |shape: &[usize], seed| {
        let inputs: usize = shape[1..].iter().product();
        (uniform(shape, seed) * (6.0 / inputs as f64).sqrt()).unwrap()
    };
    let weights = [
        scaled(&[32, 3, 7, 7], 1),
        scaled(&[32, 32, 3, 3], 2),
        scaled(&[64, 32, 1, 1], 3),
        scaled(&[64, 32, 1, 1], 4),
        scaled(&[10, 64], 5),
    ];
    let ones = |channels: usize| {
        Tensor::ones(channels, candle_core::DType::F32, images[0].device())
    };
    let of = |channels: usize| [ones(channels).unwrap(), uniform(&[channels], 6)];
    let trained = [&weights[..], &of(32), &of(32), &of(64), &of(64)].concat();
    let labels = [0, 1, 2, 3, 4, 5, 9, 9];
    let relu = Then { activation: Activation::Relu, ..Then::NOTHING };
    comparison.chain("a residual network in training", None, &[], &trained, |_, p| {
        let x = Node::from(&images[0].to_device(p[0].device())?);
        let norm = |x: &Node, i: usize, then: Then<'_>| -> Result<Node> {
            Ok(ops::batch_norm(x, &p[5 + 2 * i], &p[6 + 2 * i], 1e-5, then)?.0)
        };
        let x = ops::normalize(&x, &[0.4, 0.5, 0.6], &[0.2, 0.3, 0.4])?;
        let x = norm(&ops::conv2d(&x, &p[0], None, conv(2, 3))?, 0, relu)?;
        let x = ops::max_pool2d(&x, STEM)?;
        let y = norm(&ops::conv2d(&x, &p[1], None, conv(2, 1))?, 1, relu)?;
        let shortcut = norm(&ops::conv2d(&x, &p[2], None, conv(2, 0))?, 2, Then::NOTHING)?;
        let then = Then { shortcut: Some(&shortcut), activation: Activation::Relu };
        let y = norm(&ops::conv2d(&y, &p[3], None, conv(1, 0))?, 3, then)?;
        let y = ops::adaptive_avg_pool2d(&y, (1, 1))?.flatten_from(1)?;
        ops::cross_entropy(&ops::linear(&y, &p[4], None)?, &labels)
    });
    let evaluated = [&weights[..], &statistics(32), &statistics(64)].concat();
    for rows in [None, Some(&[6, 0, 6][..])] {
        let name = format!("a residual network in evaluation, rows {rows:?}");
        comparison.chain(&name, rows, &images, &evaluated, |x, p| {
            let (narrow, wide) = (fold(&p[5..9])?, fold(&p[9..])?);
            let x = ops::conv2d_folded(&x[0], &p[0], conv(2, 3), &narrow, relu)?;
            let x = ops::max_pool2d(&x, STEM)?;
            let y = ops::conv2d_folded(&x, &p[1], conv(2, 1), &narrow, relu)?;
            let shortcut = ops::conv2d_folded(&x, &p[2], conv(2, 0), &wide, Then::NOTHING)?;
            let then = Then { shortcut: Some(&shortcut), activation: Activation::Relu };
            let y = ops::conv2d_folded(&y, &p[3], conv(1, 0), &wide, then)?;
            let y = ops::adaptive_avg_pool2d(&y, (1, 1))?.flatten_from(1)?;
            ops::linear(&y, &Node::from(p[4].tensor()), None)
        });
    }
}
