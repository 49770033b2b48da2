use ops::optimizer::Rule;
use rayon::prelude::*;

use super::{CHUNK, Step, all_finite};

const BETA: [f64; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// What is the same for all values in one step.
pub(super) struct Numbers {
    size: f32,
    root: f32,
    take: f32,
    keep: f32,
    add: f32,
    weight_decay: f32,
}

impl Numbers {
    pub(super) fn of(step: Step) -> Self {
        let Step { number, rate, weight_decay } = step;
        let correction = BETA.map(|beta| 1.0 - beta.powf(number as f64));
        Self {
            size: (rate / correction[0]) as f32,
            root: correction[1].sqrt() as f32,
            take: (1.0 - BETA[0]) as f32,
            keep: BETA[1] as f32,
            add: (1.0 - BETA[1]) as f32,
            weight_decay: weight_decay as f32,
        }
    }

    /// The rule as a GPU takes it.
    pub(super) fn rule(self) -> Rule {
        let Self { size, root, take, keep, add, weight_decay } = self;
        Rule::Adam { size, root, take, keep, add, epsilon: EPSILON, weight_decay }
    }
}

/// Adam (Kingma and Ba 2014, Algorithm 1), in the order of operations of
/// `torch.optim.Adam`, with an L2 penalty in the gradient.
///
/// ```text
/// g ← g + λθ    m ← m + (1 − β₁)(g − m)    v ← β₂v + (1 − β₂)g²
/// θ ← θ − r / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
/// ```
///
/// Returns whether θ stayed finite.
pub(super) fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    step: Step,
) -> bool {
    let Numbers { size, root, take, keep, add, weight_decay } = Numbers::of(step);
    (parameter.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .zip(mean.par_chunks_mut(CHUNK))
        .zip(square.par_chunks_mut(CHUNK))
        .map(|(((parameter, gradient), mean), square)| {
            let each = parameter.iter_mut().zip(gradient).zip(mean).zip(square);
            for (((p, g), m), v) in each {
                let g = g + weight_decay * *p;
                *m += take * (g - *m);
                *v = *v * keep + add * g * g;
                *p -= size * (*m / (v.sqrt() / root + EPSILON));
            }
            all_finite(parameter)
        })
        .reduce(|| true, |a, b| a && b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::fixture::{GRADIENTS, RATES, START, assert_close};

    fn steps(weight_decay: f64) -> [[f32; 4]; 3] {
        let (mut p, mut m, mut v) = (START, [0.0; 4], [0.0; 4]);
        [0, 1, 2].map(|i| {
            let step = Step { number: i as u64 + 1, rate: RATES[i], weight_decay };
            assert!(update(&mut p, &GRADIENTS[i], &mut m, &mut v, step));
            p
        })
    }

    // printed by tests/parity/optimizers.py (torch 2)
    #[test]
    fn three_steps_are_those_of_torch() {
        let expected = [
            [0.9, -1.9, 0.5, -0.099_999_994],
            [0.949_418_96, -1.936_610_3, 0.425_596_83, -0.197_035_21],
            [0.952_193_9, -1.943_424, 0.426_048_6, -0.202_554_12],
        ];
        assert_close(steps(0.0), expected);
    }

    #[test]
    fn so_they_are_with_weight_decay() {
        let expected = [
            [0.900_000_04, -1.9, 0.400_000_2, -0.099_999_994],
            [0.945_928_93, -1.930_956_2, 0.300_999_1, -0.197_029_5],
            [0.948_216_14, -1.937_493_7, 0.291_398, -0.202_543_53],
        ];
        assert_close(steps(0.01), expected);
    }

    #[test]
    fn an_infinite_update_is_told() {
        let step = Step { number: 1, rate: f64::INFINITY, weight_decay: 0.0 };
        assert!(!update(&mut [1.0], &[1.0], &mut [0.0], &mut [0.0], step));
    }
}
