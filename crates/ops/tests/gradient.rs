//! Every gradient against central differences, at odd and oblong sizes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use candle_core::{Device, Result, Tensor};
use common::{check, uniform, values};
use ops::{Conv2d, Pool2d};

/// Kernel, stride and padding of pooling layers.
const POOLS: [Pool2d; 5] = [
    Pool2d { kernel: (2, 2), stride: (2, 2), padding: (0, 0) },
    Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1) },
    Pool2d { kernel: (2, 3), stride: (1, 2), padding: (1, 0) },
    Pool2d { kernel: (2, 2), stride: (3, 4), padding: (0, 1) },
    Pool2d { kernel: (1, 3), stride: (1, 1), padding: (0, 1) },
];

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
        let parameters = [uniform(&[shape[1]], 1), uniform(&[shape[1]], 2)];
        let [gamma, beta] = parameters;
        check(&format!("{shape:?}"), &[values(&shape, 0), gamma, beta], |x| {
            Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-2)?.0)
        });
    }
}

#[test]
fn batch_normalisation_with_running_statistics() {
    let mean = uniform(&[3], 3);
    let variance = (uniform(&[3], 4) + 1.5).unwrap();
    let inputs = [values(&[2, 3, 5, 7], 0), uniform(&[3], 1), uniform(&[3], 2)];
    check("evaluation", &inputs, |x| {
        ops::batch_norm_eval(&x[0], &x[1], &x[2], &mean, &variance, 1e-5)
    });
}

#[test]
fn rectified_units() {
    check("relu", &[values(&[3, 5, 7], 0)], |x| ops::relu(&x[0]));
    // the kinks of relu6 at places between values
    check("relu6", &[values(&[3, 5, 6], 0)], |x| ops::relu6(&(&x[0] * 4.0)?));
}

#[test]
fn a_residual_join() {
    // sums are half-integers plus at most 0.2: never near the kink
    let a = (values(&[3, 5, 6], 0) * 0.05).unwrap();
    let b = (values(&[3, 5, 6], 1).round().unwrap() + 0.5).unwrap();
    check("add_relu", &[a, b], |x| ops::add_relu(&x[0], &x[1]));
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
    check("log_softmax", &inputs, |z| ops::log_softmax(&z[0]));
    check("cross_entropy", &inputs, |z| ops::cross_entropy(&z[0], &[0, 6, 3, 3, 1]));
    check("bce", &inputs, |z| ops::bce_with_logits(&z[0], &targets));
}

#[test]
fn arguments_and_gradients_that_are_not_contiguous() {
    check("transposed", &[values(&[2, 3, 7, 5], 0)], |x| {
        let pool = POOLS[1];
        let x = ops::relu(&x[0].transpose(2, 3)?)?;
        ops::max_pool2d(&x.transpose(1, 0)?, pool)?.transpose(0, 3)
    });
}

#[test]
fn a_sample_in_evaluation_mode_does_not_know_its_batch() -> Result<()> {
    let x = values(&[5, 3, 9, 7], 0);
    let (gamma, beta) = (uniform(&[3], 1), uniform(&[3], 2));
    let (mean, variance) = (uniform(&[3], 3), (uniform(&[3], 4) + 2.0)?);
    let network = |x: &Tensor| -> Result<Tensor> {
        let x = ops::normalize(x, &[0.1, 0.2, 0.3], &[0.7, 0.8, 0.9])?;
        let x = ops::batch_norm_eval(&x, &gamma, &beta, &mean, &variance, 1e-5)?;
        let x = ops::max_pool2d(&ops::relu6(&x)?, POOLS[1])?;
        let x = ops::avg_pool2d(&ops::add_relu(&x, &x)?, POOLS[4])?;
        ops::log_softmax(&ops::adaptive_avg_pool2d(&x, (2, 3))?.flatten_from(1)?)
    };
    let whole = network(&x)?.to_vec2::<f32>()?;
    for (i, row) in whole.iter().enumerate() {
        assert_eq!(network(&x.narrow(0, i, 1)?)?.to_vec2::<f32>()?[0], *row, "{i}");
    }
    Ok(())
}

#[test]
fn other_types_than_f32_are_refused() -> Result<()> {
    let x = Tensor::zeros((2, 3, 4, 4), candle_core::DType::F64, &Device::Cpu)?;
    let error = ops::max_pool2d(&x, POOLS[0]).unwrap_err().to_string();
    assert!(error.contains("expects f32, found F64"), "{error}");
    assert!(ops::relu(&x).is_err());
    Ok(())
}
