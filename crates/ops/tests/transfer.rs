//! Copies to and from a GPU, and the step that changes all parameters there.

#![cfg(feature = "cuda")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use candle_core::{DType, Device, Tensor};
use ops::{
    Precision,
    optimizer::{Rule, Update, update},
};

fn gpu() -> Device {
    ops::gpu(Precision::F32).unwrap()
}

/// Numbers of both signs, some of them large.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 100.0 - 10.0;
    (0..count).map(number).collect()
}

#[test]
fn values_arrive_and_come_back_in_their_order() {
    let device = gpu();
    // large ones beside each other, so that copies overlap and buffers are taken again
    for round in 0..8 {
        let uploads: Vec<_> = [3 << 20, 5, 1 << 20, 4097]
            .into_iter()
            .enumerate()
            .map(|(i, count)| {
                let values = numbers(count, 10 * round + i);
                let fill = |to: &mut [f32]| to.copy_from_slice(&values);
                (ops::upload(count, &device, fill).unwrap(), values.clone())
            })
            .collect();
        // some are never looked at, and their memory is taken again
        let later: Vec<_> = uploads
            .iter()
            .skip(round % 2)
            .map(|(upload, values)| {
                let twice = (upload.tensor().unwrap() * 2.0).unwrap();
                (ops::later(&twice).unwrap(), values)
            })
            .collect();
        for (found, values) in later {
            let expected: Vec<f32> = values.iter().map(|v| v * 2.0).collect();
            assert!(found.values().unwrap() == expected, "round {round}");
        }
    }
}

#[test]
fn pixels_come_back_as_planes_and_bf16_as_f32() {
    let device = gpu();
    let values = numbers(2 * 3 * 4 * 5, 1);
    let x = Tensor::from_vec(values, (2, 4, 5, 3), &device).unwrap();
    let x = x.permute((0, 3, 1, 2)).unwrap();
    let expected: Vec<f32> =
        x.contiguous().unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(ops::host(&x).unwrap(), expected);

    let whole: Vec<f32> = (0..60).map(|i| i as f32).collect();
    let y = Tensor::from_slice(&whole, (3, 20), &device).unwrap();
    assert_eq!(ops::host(&y.to_dtype(DType::BF16).unwrap()).unwrap(), whole);
}

/// One step of every rule as the CPU rounds it.
fn expected(rule: Rule, p: &mut f32, g: f32, m: &mut f32, v: &mut f32) {
    match rule {
        Rule::Adam { size, root, take, keep, add, epsilon, weight_decay } => {
            let g = g + weight_decay * *p;
            *m += take * (g - *m);
            *v = *v * keep + add * g * g;
            *p -= size * (*m / (v.sqrt() / root + epsilon));
        }
        Rule::Sgd { rate, weight_decay } => *p -= rate * (g + weight_decay * *p),
        Rule::Momentum { rate, momentum, weight_decay } => {
            *m = momentum * *m + (g + weight_decay * *p);
            *p -= rate * *m;
        }
    }
}

#[test]
fn a_step_with_all_parameters_is_the_processors_bit_by_bit() {
    let device = gpu();
    let adam = Rule::Adam {
        size: 0.01,
        root: 0.05,
        take: 0.1,
        keep: 0.999,
        add: 0.001,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    let sgd = Rule::Sgd { rate: 0.1, weight_decay: 0.01 };
    let momentum = Rule::Momentum { rate: 0.1, momentum: 0.9, weight_decay: 0.01 };
    // fours with and without a rest, one value, and more than a block's
    let sizes = [64, 7, 1, (1 << 15) + 5, 3 << 15];
    for (rule, moments) in [(adam, 2), (sgd, 0), (momentum, 1)] {
        let tensor = |values: &[f32]| Tensor::from_slice(values, values.len(), &device);
        let columns = |seed: usize| -> Vec<Vec<f32>> {
            let column = |(i, &size): (usize, &usize)| numbers(size, 10 * seed + i);
            sizes.iter().enumerate().map(column).collect()
        };
        let (mut p, g, mut m) = (columns(1), columns(2), columns(3));
        let mut v: Vec<Vec<f32>> =
            columns(4).iter().map(|v| v.iter().map(|v| v.abs()).collect()).collect();
        let there = |columns: &[Vec<f32>]| -> Vec<Tensor> {
            columns.iter().map(|values| tensor(values).unwrap()).collect()
        };
        let (parameters, gradients) = (there(&p), there(&g));
        let state: Vec<Vec<Tensor>> = there(&m)
            .into_iter()
            .zip(there(&v))
            .map(|(m, v)| [m, v].into_iter().take(moments).collect())
            .collect();
        let updates: Vec<Update<'_>> = (0..sizes.len())
            .map(|i| Update {
                parameter: &parameters[i],
                gradient: &gradients[i],
                moments: &state[i],
            })
            .collect();
        for _ in 0..2 {
            let flags = update(rule, &updates).unwrap().values().unwrap();
            assert_eq!(flags, [0.0; 5]);
            for i in 0..sizes.len() {
                for k in 0..sizes[i] {
                    expected(rule, &mut p[i][k], g[i][k], &mut m[i][k], &mut v[i][k]);
                }
            }
        }
        for i in 0..sizes.len() {
            assert!(ops::host(&parameters[i]).unwrap() == p[i], "{rule:?}: parameter {i}");
            for (found, expected) in state[i].iter().zip([&m[i], &v[i]]) {
                assert!(ops::host(found).unwrap() == *expected, "{rule:?}: moment of {i}");
            }
        }
    }
}

#[test]
fn a_parameter_that_is_no_number_any_more_is_told() {
    let device = gpu();
    let mut second = numbers(40_000, 1);
    second[39_999] = f32::INFINITY;
    let tensors = [numbers(9, 0), second, numbers(8, 2)]
        .map(|values| Tensor::new(values.as_slice(), &device).unwrap());
    let gradients =
        tensors.each_ref().map(|tensor| Tensor::zeros(tensor.dims(), DType::F32, &device));
    let gradients = gradients.map(Result::unwrap);
    let pairs = tensors.iter().zip(&gradients);
    let updates: Vec<Update<'_>> = pairs
        .map(|(parameter, gradient)| Update { parameter, gradient, moments: &[] })
        .collect();
    let rule = Rule::Sgd { rate: 0.1, weight_decay: 0.0 };
    assert_eq!(update(rule, &updates).unwrap().values().unwrap(), [0.0, 1.0, 0.0]);
}
