//! Central differences, for every operator.

use candle_core::{Device, Result, Tensor, Var};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Half the distance of the two points of a difference.
const STEP: f64 = 4e-3;
/// Largest relative error; f32 and the third derivative leave far less.
const TOLERANCE: f64 = 2e-3;

/// Distinct values in (-2, 2) in random order, none near 0 and no two closer than 4 / n:
/// up to 400 of them, a step moves none across another or across a kink at 0.
pub(crate) fn values(shape: &[usize], seed: u64) -> Tensor {
    let n: usize = shape.iter().product();
    let mut values: Vec<f32> =
        (0..n).map(|i| 4.0 * (i as f32 + 0.5) / n as f32 - 2.0).collect();
    if n % 2 == 1 {
        values[n / 2] = 2.0;
    }
    values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Uniform values in (-1, 1).
pub(crate) fn uniform(shape: &[usize], seed: u64) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Compares the gradient of `f` at `inputs` with central differences, input by input.
///
/// The loss is `Σ c f(inputs)` with random `c`, and each input moves along a random
/// direction. It also checks that an input which is not a variable gets no gradient, and
/// that it makes no difference to a gradient which of the others want theirs.
pub(crate) fn check(
    name: &str,
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    try_check(name, inputs, &f).unwrap();
}

fn try_check(
    name: &str,
    inputs: &[Tensor],
    f: &dyn Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let weights = uniform(f(inputs)?.dims(), 1);
    let together = gradients(inputs, &weights, f, |_| true)?;
    for (i, x) in inputs.iter().enumerate() {
        let alone = gradients(inputs, &weights, f, |j| j == i)?;
        for (j, gradient) in alone.iter().enumerate() {
            let unwanted = i != j && gradient.is_some();
            assert!(!unwanted, "{name}: constant {j} has a gradient");
        }
        let gradient = alone[i].as_ref().expect("a variable has a gradient");
        assert_eq!(gradient.dims(), x.dims(), "{name}: shape of gradient {i}");
        let other = together[i].as_ref().expect("a variable has a gradient");
        assert_eq!(flat(gradient)?, flat(other)?, "{name}: gradient {i} alone");

        let direction = uniform(x.dims(), 2 + i as u64);
        let loss = |step: f64| -> Result<f64> {
            let mut inputs = inputs.to_vec();
            inputs[i] = (x + (&direction * step)?)?;
            dot(&f(&inputs)?, &weights)
        };
        let numeric = (loss(STEP)? - loss(-STEP)?) / (2.0 * STEP);
        let exact = dot(gradient, &direction)?;
        let scale = numeric.abs().max(dot(gradient, gradient)?.sqrt());
        assert!(
            (numeric - exact).abs() <= TOLERANCE * scale,
            "{name}, input {i}: differences say {numeric}, backward says {exact}"
        );
    }
    Ok(())
}

fn gradients(
    inputs: &[Tensor],
    weights: &Tensor,
    f: &dyn Fn(&[Tensor]) -> Result<Tensor>,
    wanted: impl Fn(usize) -> bool,
) -> Result<Vec<Option<Tensor>>> {
    let place = |(i, x): (usize, &Tensor)| {
        if wanted(i) { Ok(Var::from_tensor(x)?.as_tensor().clone()) } else { x.copy() }
    };
    let placed = inputs.iter().enumerate().map(place).collect::<Result<Vec<_>>>()?;
    let store = (f(&placed)? * weights)?.sum_all()?.backward()?;
    Ok(placed.iter().map(|x| store.get(x).cloned()).collect())
}

fn flat(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (flat(a)?, flat(b)?);
    Ok(a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
}
