//! The fully connected layer against its definition, summed in f64; on every device, but for what
//! the CPU alone promises.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use candle_core::{Device, Result, Tensor, Var};
use devices::devices;
use ops::{Gradients, Node, linear};

/// Numbers in [-1, 1) that differ from each other, from a linear congruence.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

/// Result and gradients of `x`, `w` and `b` where the result's gradient is `g`.
fn run(
    (rows, inputs, outputs): (usize, usize, usize),
    [x, w, b, g]: [Vec<f32>; 4],
    device: &Device,
) -> Result<[Vec<f32>; 4]> {
    let x = Var::from_vec(x, (rows, inputs), device)?;
    let w = Var::from_vec(w, (outputs, inputs), device)?;
    let b = Var::from_vec(b, outputs, device)?;
    let g = Tensor::from_vec(g, (rows, outputs), device)?;
    let y = linear(&Node::from(&x), &Node::from(&w), Some(&Node::from(&b)))?;
    let grads = y.clone().backward(&g)?;
    let grad = |v: &Var| ops::host(grads.get(v).unwrap());
    Ok([ops::host(&y)?, grad(&x)?, grad(&w)?, grad(&b)?])
}

#[test]
fn result_and_gradients_are_those_of_the_definition() -> Result<()> {
    for (rows, inputs, outputs) in
        [(1, 1, 1), (3, 5, 2), (7, 37, 21), (16, 512, 10), (2, 9001, 33), (9, 6, 600)]
    {
        let arguments = [
            values(rows * inputs, 1),
            values(outputs * inputs, 2),
            values(outputs, 3),
            values(rows * outputs, 4),
        ];
        let [x, w, b, g] = arguments
            .clone()
            .map(|v| -> Vec<f64> { v.into_iter().map(f64::from).collect() });
        let mut y: Vec<f64> = (0..g.len()).map(|i| b[i % outputs]).collect();
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        let mut db = vec![0.0; b.len()];
        for n in 0..rows {
            for o in 0..outputs {
                let to = n * outputs + o;
                db[o] += g[to];
                for i in 0..inputs {
                    y[to] += x[n * inputs + i] * w[o * inputs + i];
                    dx[n * inputs + i] += g[to] * w[o * inputs + i];
                    dw[o * inputs + i] += g[to] * x[n * inputs + i];
                }
            }
        }
        let expected = [y, dx, dw, db];
        for device in devices() {
            let found = run((rows, inputs, outputs), arguments.clone(), &device)?;
            let tolerance = if device.is_cpu() { 2e-6 } else { 1e-5 };
            for (found, expected) in found.iter().zip(&expected) {
                let scale = expected.iter().fold(1f64, |m, v| m.max(v.abs()));
                for (&found, expected) in found.iter().zip(expected) {
                    let difference = (f64::from(found) - expected).abs();
                    let what =
                        format!("{found} on {:?}, not {expected}", device.location());
                    assert!(difference <= tolerance * scale, "{what}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_result_of_a_row_does_not_depend_on_the_others() -> Result<()> {
    for (inputs, outputs) in
        [(37, 10), (512, 10), (64, 1), (64, 1000), (9001, 20), (2048, 1000), (1, 3)]
    {
        let of = |rows: usize| {
            let row = |len: usize, seed| {
                (0..rows as u64).flat_map(move |n| values(len, seed + n)).collect()
            };
            let arguments = [
                row(inputs, 1),
                values(outputs * inputs, 2),
                values(outputs, 3),
                row(outputs, 500),
            ];
            run((rows, inputs, outputs), arguments, &Device::Cpu)
        };
        let [y_alone, dx_alone, ..] = of(1)?;
        for rows in [2, 3, 7, 16, 64, 100] {
            let [y, dx, ..] = of(rows)?;
            assert_eq!(y[..outputs], y_alone, "{rows} x {inputs} x {outputs}");
            assert_eq!(dx[..inputs], dx_alone, "{rows} x {inputs} x {outputs}");
        }
        // nor on its place among them
        let [y, dx, ..] = of(64)?;
        let single = run(
            (1, inputs, outputs),
            [
                values(inputs, 1 + 61),
                values(outputs * inputs, 2),
                values(outputs, 3),
                values(outputs, 500 + 61),
            ],
            &Device::Cpu,
        )?;
        assert_eq!(y[61 * outputs..][..outputs], single[0]);
        assert_eq!(dx[61 * inputs..][..inputs], single[1]);
    }
    Ok(())
}

#[test]
fn nothing_depends_on_the_number_of_threads() -> Result<()> {
    let sizes @ (rows, inputs, outputs) = (7, 1100, 37);
    let on = |threads: usize| {
        let arguments = [
            values(rows * inputs, 1),
            values(outputs * inputs, 2),
            values(outputs, 3),
            values(rows * outputs, 4),
        ];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(sizes, arguments, &Device::Cpu))
    };
    let one = on(1)?;
    for threads in [2, 5] {
        assert!(on(threads)? == one, "{threads} threads");
    }
    Ok(())
}

#[test]
fn a_gradient_that_nobody_wants_is_absent() -> Result<()> {
    let gradients = |x: &Node, w: &Node| -> Result<Gradients> {
        let y = linear(x, w, None)?;
        let ones = y.ones_like()?;
        y.backward(&ones)
    };
    for device in devices() {
        let x = Var::from_vec(values(6, 1), (2, 3), &device)?;
        let w = Var::from_vec(values(12, 2), (4, 3), &device)?;
        let grads = gradients(&Node::from(&x), &Node::from(w.as_tensor()))?;
        assert!(grads.get(&x).is_some() && grads.get(&w).is_none());
        let grads = gradients(&Node::from(x.as_tensor()), &Node::from(&w))?;
        assert!(grads.get(&x).is_none() && grads.get(&w).is_some());
    }
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_named() -> Result<()> {
    let zeros = |shape: (usize, usize)| -> Result<Node> {
        Ok(Node::from(&Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu)?))
    };
    let error = linear(&zeros((2, 3))?, &zeros((4, 5))?, None).unwrap_err().to_string();
    assert!(error.contains("input [2, 3] and weights [4, 5] do not fit"), "{error}");
    Ok(())
}

#[test]
fn what_is_infinite_stays_in_its_place() -> Result<()> {
    // one output and one row: the blocks of the gradients are filled up with what is not there
    let (w, x) = (vec![f32::INFINITY, 1.0], vec![f32::INFINITY, 2.0]);
    for device in devices() {
        let arguments = [x.clone(), w.clone(), vec![0.0], vec![3.0]];
        let [_, dx, dw, _] = run((1, 2, 1), arguments, &device)?;
        assert_eq!(dx, [f32::INFINITY, 3.0]);
        assert_eq!(dw, [f32::INFINITY, 6.0]);
    }
    Ok(())
}
