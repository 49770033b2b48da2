//! Rules of update: against torch, and bit by bit as they are written down.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use candle_core::{DType, Tensor};
use devices::devices;
use ops::optimizer::{Rule, Update, update};

const START: [f32; 4] = [1.0, -2.0, 0.5, 0.0];
const GRADIENTS: [[f32; 4]; 3] =
    [[0.1, -0.2, 0.0, 3.0], [-0.3, 0.4, 1e-4, 2.0], [0.05, 0.6, -1e-4, -1.0]];
const RATES: [f64; 3] = [0.1, 0.1, 0.01];

/// Takes the steps of tests/parity/optimizers.py, on every device.
fn assert_torch(rule: impl Fn(u64, f64) -> Rule, moments: usize, expected: [[f32; 4]; 3]) {
    for device in devices() {
        let there = |values: &[f32; 4]| Tensor::new(values, &device).unwrap();
        let parameter = there(&START);
        let moments: Vec<Tensor> = (0..moments).map(|_| there(&[0.0; 4])).collect();
        for (i, expected) in expected.iter().enumerate() {
            let gradient = there(&GRADIENTS[i]);
            let step =
                Update { parameter: &parameter, gradient: &gradient, moments: &moments };
            let rule = rule(i as u64 + 1, RATES[i]);
            assert_eq!(update(rule, &[step]).unwrap().values().unwrap(), [0.0]);
            let found = ops::host(&parameter).unwrap();
            for (f, e) in found.iter().zip(expected) {
                let close = (f - e).abs() <= 2e-7 * e.abs().max(1.0);
                assert!(close, "{rule:?} on {device:?}: {found:?}, not {expected:?}");
            }
        }
    }
}

// printed by tests/parity/optimizers.py (torch 2)
#[test]
fn three_steps_of_adam_are_those_of_torch() {
    assert_torch(
        |step, rate| Rule::adam(step, rate, 0.0),
        2,
        [
            [0.9, -1.9, 0.5, -0.099_999_994],
            [0.949_418_96, -1.936_610_3, 0.425_596_83, -0.197_035_21],
            [0.952_193_9, -1.943_424, 0.426_048_6, -0.202_554_12],
        ],
    );
    assert_torch(
        |step, rate| Rule::adam(step, rate, 0.01),
        2,
        [
            [0.900_000_04, -1.9, 0.400_000_2, -0.099_999_994],
            [0.945_928_93, -1.930_956_2, 0.300_999_1, -0.197_029_5],
            [0.948_216_14, -1.937_493_7, 0.291_398, -0.202_543_53],
        ],
    );
}

#[test]
fn so_are_three_of_gradient_descent() {
    assert_torch(
        |_, rate| Rule::sgd(rate, 0.0, 0.0),
        0,
        [
            [0.99, -1.98, 0.5, -0.3],
            [1.02, -2.02, 0.499_99, -0.5],
            [1.019_5, -2.026, 0.499_991, -0.49],
        ],
    );
    assert_torch(
        |_, rate| Rule::sgd(rate, 0.9, 0.01),
        1,
        [
            [0.989, -1.978, 0.499_5, -0.3],
            [1.008_111, -1.996_222, 0.498_540_52, -0.769_7],
            [1.009_230_1, -2.003_662_3, 0.498_405_3, -0.801_896_04],
        ],
    );
}

/// Numbers of both signs, some of them large.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 100.0 - 10.0;
    (0..count).map(number).collect()
}

/// One step of every rule as it is written down.
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
fn a_step_is_that_of_the_formulas_bit_by_bit() {
    for device in devices() {
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
                assert!(
                    ops::host(&parameters[i]).unwrap() == p[i],
                    "{rule:?}: parameter {i}"
                );
                for (found, expected) in state[i].iter().zip([&m[i], &v[i]]) {
                    assert!(
                        ops::host(found).unwrap() == *expected,
                        "{rule:?}: moment of {i}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_parameter_that_is_no_number_any_more_is_told() {
    for device in devices() {
        let mut second = numbers(40_000, 1);
        second[39_999] = f32::INFINITY;
        let tensors = [numbers(9, 0), second, numbers(8, 2)]
            .map(|values| Tensor::new(values.as_slice(), &device).unwrap());
        let gradients = tensors
            .each_ref()
            .map(|tensor| Tensor::zeros(tensor.dims(), DType::F32, &device));
        let gradients = gradients.map(Result::unwrap);
        let rules =
            [Rule::sgd(0.1, 0.0, 0.0), Rule::sgd(0.1, 0.9, 0.0), Rule::adam(1, 0.1, 0.0)];
        for (moments, rule) in rules.into_iter().enumerate() {
            let zeros =
                |zero: &Tensor| (0..moments).map(|_| zero.copy().unwrap()).collect();
            let zeros: [Vec<Tensor>; 3] = gradients.each_ref().map(zeros);
            let updates: Vec<Update<'_>> = (0..3)
                .map(|i| Update {
                    parameter: &tensors[i],
                    gradient: &gradients[i],
                    moments: &zeros[i],
                })
                .collect();
            let flags = update(rule, &updates).unwrap().values().unwrap();
            assert_eq!(flags, [0.0, 1.0, 0.0], "{rule:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let zeros = |count: usize| Tensor::zeros(count, DType::F32, &device).unwrap();
        let (parameter, other) = (zeros(3), zeros(2));
        let refused = |gradient: &Tensor, moments: &[Tensor]| {
            let step = Update { parameter: &parameter, gradient, moments };
            let (rule, expected) = match moments.len() {
                2 => (Rule::adam(1, 0.1, 0.0), "2 different moments"),
                _ => (Rule::sgd(0.1, 0.9, 0.0), "1 different moments"),
            };
            let error = update(rule, &[step]).unwrap_err().to_string();
            let expected = format!("{expected} and a gradient of one size");
            assert!(error.contains(&expected), "{error}");
        };
        refused(&other, &[zeros(3)]);
        refused(&zeros(3), std::slice::from_ref(&other));
        refused(&zeros(3), &[]);
        refused(&zeros(3), &vec![zeros(3); 2]);
    }
}
