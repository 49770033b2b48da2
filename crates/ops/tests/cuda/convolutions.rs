//! Convolutions as they are in residual networks, VGG and `MobileNet`, and some odd ones.

use ops::{Activation, Conv2d, Fold, Node, Then};

use crate::{
    common::{integers, uniform, values},
    comparison::Comparison,
};
use candle_core::{Result, Tensor};

/// Input, results, kernel, stride and groups; the padding is half the kernel.
#[derive(Clone, Copy)]
struct Shape([usize; 4], usize, usize, usize, usize);

const SHAPES: [Shape; 27] = [
    // pointwise
    Shape([4, 64, 56, 56], 64, 1, 1, 1),
    Shape([4, 64, 56, 56], 256, 1, 1, 1),
    Shape([4, 256, 28, 28], 512, 1, 2, 1),
    Shape([2, 960, 7, 7], 320, 1, 1, 1),
    Shape([7, 64, 1, 1], 20, 1, 1, 1),
    Shape([3, 3, 9, 8], 5, 1, 1, 1),
    // 3 x 3
    Shape([4, 64, 56, 56], 64, 3, 1, 1),
    Shape([4, 128, 28, 28], 128, 3, 2, 1),
    Shape([4, 512, 7, 7], 512, 3, 1, 1),
    Shape([2, 512, 3, 3], 512, 3, 1, 1),
    Shape([3, 3, 33, 29], 20, 3, 1, 1),
    Shape([3, 20, 33, 29], 3, 3, 2, 1),
    // the first layers
    Shape([4, 3, 224, 224], 64, 7, 2, 1),
    Shape([4, 3, 96, 96], 32, 3, 2, 1),
    Shape([2, 3, 96, 96], 64, 3, 1, 1),
    // depthwise
    Shape([4, 32, 112, 112], 32, 3, 1, 32),
    Shape([4, 96, 112, 112], 96, 3, 2, 96),
    Shape([4, 144, 24, 24], 144, 3, 1, 144),
    Shape([4, 192, 27, 25], 192, 3, 2, 192),
    Shape([2, 384, 14, 14], 384, 3, 1, 384),
    Shape([2, 576, 14, 14], 576, 3, 2, 576),
    Shape([4, 960, 7, 7], 960, 3, 1, 960),
    Shape([3, 20, 15, 17], 20, 3, 1, 20),
    Shape([3, 3, 8, 9], 3, 3, 2, 3),
    // in groups
    Shape([4, 64, 28, 28], 64, 3, 1, 2),
    Shape([4, 128, 14, 14], 128, 3, 1, 32),
    Shape([2, 20, 9, 11], 40, 3, 2, 20),
];

impl Shape {
    fn name(self) -> String {
        let Self([n, c, h, w], o, k, stride, groups) = self;
        format!("{k}x{k}, {n} x {c} x {h} x {w} to {o}, stride {stride}, {groups} groups")
    }

    fn weight(self) -> [usize; 4] {
        let Self(x, o, k, _, groups) = self;
        [o, x[1] / groups, k, k]
    }

    fn result(self) -> [usize; 4] {
        let Self(x, o, _, stride, _) = self;
        let [height, width] = [x[2], x[3]].map(|size| (size - 1) / stride + 1);
        [x[0], o, height, width]
    }

    fn conv(self) -> Conv2d {
        let Self(_, _, k, stride, groups) = self;
        let padding = (k - 1) / 2;
        let (stride, padding) = ((stride, stride), (padding, padding));
        Conv2d { stride, padding, groups, ..Conv2d::default() }
    }
}

/// Gamma, beta, mean and variance that make half-integers of integers, by scales of 1, -1, 2 and
/// -2: results of integers are then never near a kink.
pub(crate) fn half_integers(channels: usize) -> [Tensor; 4] {
    let every = |values: [f32; 4]| {
        let values: Vec<f32> = values.into_iter().cycle().take(channels).collect();
        Tensor::new(values, &candle_core::Device::Cpu).unwrap()
    };
    [
        [1.0, -2.0, 4.0, -2.0],
        [0.5, -1.5, 2.5, 0.5],
        [0.0, 1.0, -2.0, 1.0],
        [1.0, 4.0, 4.0, 1.0],
    ]
    .map(every)
}

/// Gamma, beta, mean and variance of all kinds.
pub(crate) fn statistics(channels: usize) -> [Tensor; 4] {
    let of = |seed| uniform(&[channels], seed);
    [of(2), of(3), of(4), (of(5) + 1.5).unwrap()]
}

pub(crate) fn fold(parameters: &[Node]) -> Result<Fold> {
    let [gamma, beta, mean, variance] = parameters else { panic!("four parameters") };
    Fold::new(gamma, beta, mean, variance, 1e-5)
}

pub(crate) fn compare(comparison: &mut Comparison) {
    for shape in SHAPES {
        let (name, conv) = (shape.name(), shape.conv());
        let Shape(x, o, ..) = shape;
        let [weight, bias] = [uniform(&shape.weight(), 1), uniform(&[o], 2)];
        comparison.case(
            &format!("{name}, with bias"),
            &[uniform(&x, 0)],
            &[weight.clone(), bias],
            |x, p| ops::conv2d(&x[0], &p[0], Some(&p[1]), conv),
        );
        let inputs = [uniform(&x, 0), uniform(&shape.result(), 3)];
        let parameters = [&[weight][..], &statistics(o)].concat();
        comparison.case(&format!("{name}, folded"), &inputs, &parameters, |x, p| {
            let then = Then { shortcut: x.get(1), activation: Activation::Identity };
            ops::conv2d_folded(&x[0], &p[0], conv, &fold(&p[1..])?, then)
        });

        // sums of integers, and a half
        let weight = uniform(&shape.weight(), 1).round().unwrap();
        let bias = (integers(&[o], 2) + 0.5).unwrap();
        let parameters = [weight.clone(), bias];
        let inputs = [integers(&x, 0), integers(&shape.result(), 3)];
        comparison.case(
            &format!("{name}, activated"),
            &inputs[..1],
            &parameters,
            |x, p| {
                ops::conv2d_activated(&x[0], &p[0], Some(&p[1]), conv, Activation::Relu6)
            },
        );
        let parameters = [&[weight][..], &half_integers(o)].concat();
        // without a shortcut and with one
        for inputs in [&inputs[..1], &inputs[..]] {
            let name = format!("{name}, folded and activated, {} inputs", inputs.len());
            comparison.case(&name, inputs, &parameters, |x, p| {
                let then = Then { shortcut: x.get(1), activation: Activation::Relu };
                let [gamma, beta, mean, variance] = &p[1..] else { panic!("four") };
                let fold = Fold::new(gamma, beta, mean, variance, 0.0)?;
                ops::conv2d_folded(&x[0], &p[0], conv, &fold, then)
            });
        }
    }
    // a convolution whose input no gradient reaches, and one without a bias
    comparison.case("3x3, constant input", &[], &[uniform(&[8, 3, 3, 3], 1)], |_, p| {
        let x = values(&[2, 3, 17, 18], 0).to_device(p[0].device())?;
        ops::conv2d(&Node::from(&x), &p[0], None, Conv2d::default())
    });
}
