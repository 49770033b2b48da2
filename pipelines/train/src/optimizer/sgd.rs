use rayon::prelude::*;

use super::{CHUNK, Step, all_finite};

/// Gradient descent, as `torch.optim.SGD` without momentum.
///
/// ```text
/// θ ← θ − r (g + λθ)
/// ```
///
/// Returns whether θ stayed finite.
pub(super) fn update(parameter: &mut [f32], gradient: &[f32], step: Step) -> bool {
    let (rate, weight_decay) = (step.rate as f32, step.weight_decay as f32);
    (parameter.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .map(|(parameter, gradient)| {
            for (p, g) in parameter.iter_mut().zip(gradient) {
                *p -= rate * (g + weight_decay * *p);
            }
            all_finite(parameter)
        })
        .reduce(|| true, |a, b| a && b)
}

/// Gradient descent with momentum μ, as `torch.optim.SGD` without dampening.
///
/// ```text
/// b ← μb + g + λθ    θ ← θ − r b
/// ```
///
/// Returns whether θ stayed finite.
pub(super) fn update_with_momentum(
    parameter: &mut [f32],
    gradient: &[f32],
    buffer: &mut [f32],
    momentum: f64,
    step: Step,
) -> bool {
    let (rate, weight_decay) = (step.rate as f32, step.weight_decay as f32);
    let momentum = momentum as f32;
    (parameter.par_chunks_mut(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .zip(buffer.par_chunks_mut(CHUNK))
        .map(|((parameter, gradient), buffer)| {
            for ((p, g), b) in parameter.iter_mut().zip(gradient).zip(buffer) {
                *b = momentum * *b + (g + weight_decay * *p);
                *p -= rate * *b;
            }
            all_finite(parameter)
        })
        .reduce(|| true, |a, b| a && b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::fixture::{GRADIENTS, RATES, START, assert_close};

    // printed by tests/parity/optimizers.py (torch 2)
    #[test]
    fn three_steps_are_those_of_torch() {
        let mut p = START;
        let steps = [0, 1, 2].map(|i| {
            let step = Step { number: i as u64 + 1, rate: RATES[i], weight_decay: 0.0 };
            assert!(update(&mut p, &GRADIENTS[i], step));
            p
        });
        let expected = [
            [0.99, -1.98, 0.5, -0.3],
            [1.02, -2.02, 0.499_99, -0.5],
            [1.019_5, -2.026, 0.499_991, -0.49],
        ];
        assert_close(steps, expected);
    }

    #[test]
    fn so_they_are_with_momentum_and_weight_decay() {
        let (mut p, mut b) = (START, [0.0; 4]);
        let steps = [0, 1, 2].map(|i| {
            let step = Step { number: i as u64 + 1, rate: RATES[i], weight_decay: 0.01 };
            assert!(update_with_momentum(&mut p, &GRADIENTS[i], &mut b, 0.9, step));
            p
        });
        let expected = [
            [0.989, -1.978, 0.499_5, -0.3],
            [1.008_111, -1.996_222, 0.498_540_52, -0.769_7],
            [1.009_230_1, -2.003_662_3, 0.498_405_3, -0.801_896_04],
        ];
        assert_close(steps, expected);
    }
}
