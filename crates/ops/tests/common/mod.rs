//! Central differences, for every operator, on every device.

pub(crate) mod devices;

use candle_core::{Device, Result, Tensor};
use devices::devices;
use ops::{Fold, Node};
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

/// Integers in -2..=2 in random order.
pub(crate) fn integers(shape: &[usize], seed: u64) -> Tensor {
    values(shape, seed).round().unwrap()
}

/// Makes half-integers of integers, in four channels: no step of a difference then takes
/// one across a kink at 0 or 6.
pub(crate) fn half_integers(device: &Device) -> Result<Fold> {
    let of = |values: [f32; 4]| Tensor::new(&values, device);
    // scales 1, -1, 2 and -2
    let (gamma, variance) = (of([1.0, -2.0, 4.0, -2.0])?, of([1.0, 4.0, 4.0, 1.0])?);
    let (beta, mean) = (of([0.5, -1.5, 2.5, 0.5])?, of([0.0, 1.0, -2.0, 1.0])?);
    Fold::new(&gamma, &beta, &mean, &variance, 0.0)
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
///
/// All of that on every device; `f` finds the device in its arguments.
pub(crate) fn check(name: &str, inputs: &[Tensor], f: impl Fn(&[Node]) -> Result<Node>) {
    for device in devices() {
        let name = format!("{name} on {:?}", device.location());
        try_check(&name, inputs, &device, &f).unwrap();
    }
}

fn try_check(
    name: &str,
    inputs: &[Tensor],
    device: &Device,
    f: &dyn Fn(&[Node]) -> Result<Node>,
) -> Result<()> {
    let result = |inputs: &[Tensor]| -> Result<Node> {
        let place = |x: &Tensor| Ok(Node::from(&x.to_device(device)?));
        f(&inputs.iter().map(place).collect::<Result<Vec<_>>>()?)
    };
    let weights = uniform(result(inputs)?.dims(), 1);
    let together = gradients(inputs, &weights, device, f, |_| true)?;
    for (i, x) in inputs.iter().enumerate() {
        let alone = gradients(inputs, &weights, device, f, |j| j == i)?;
        for (j, gradient) in alone.iter().enumerate() {
            let unwanted = i != j && gradient.is_some();
            assert!(!unwanted, "{name}: constant {j} has a gradient");
        }
        let gradient = alone[i].as_ref().expect("a variable has a gradient");
        assert_eq!(gradient.dims(), x.dims(), "{name}: shape of gradient {i}");
        let other = together[i].as_ref().expect("a variable has a gradient");
        assert_eq!(ops::host(gradient)?, ops::host(other)?, "{name}: gradient {i} alone");

        let direction = uniform(x.dims(), 2 + i as u64);
        let loss = |step: f64| -> Result<f64> {
            let mut inputs = inputs.to_vec();
            inputs[i] = (x + (&direction * step)?)?;
            let y = result(&inputs)?;
            dot(&y, &weights)
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
    device: &Device,
    f: &dyn Fn(&[Node]) -> Result<Node>,
    wanted: impl Fn(usize) -> bool,
) -> Result<Vec<Option<Tensor>>> {
    let inputs: Vec<Tensor> =
        inputs.iter().map(|x| x.to_device(device)).collect::<Result<_>>()?;
    let place = |(i, x): (usize, &Tensor)| {
        if wanted(i) { Node::variable(x) } else { Node::from(x) }
    };
    let placed: Vec<Node> = inputs.iter().enumerate().map(place).collect();
    let gradients = f(&placed)?.backward(&weights.to_device(device)?)?;
    Ok(inputs.iter().map(|x| gradients.get(x).cloned()).collect())
}

/// The value of `f` and its gradients on the CPU, as bits.
pub(crate) fn bits(
    inputs: &[Tensor],
    f: impl Fn(&[Node]) -> Result<Node>,
) -> Result<Vec<Vec<u32>>> {
    let nodes: Vec<Node> = inputs.iter().map(Node::variable).collect();
    let y = f(&nodes)?;
    let gradients = y.clone().backward(&uniform(y.dims(), 9))?;
    let gradients = inputs.iter().map(|x| gradients.get(x).unwrap());
    let bits = |x: &Tensor| -> Result<Vec<u32>> {
        Ok(ops::host(x)?.into_iter().map(f32::to_bits).collect())
    };
    [y.tensor()].into_iter().chain(gradients).map(bits).collect()
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (ops::host(a)?, ops::host(b)?);
    Ok(a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
}
