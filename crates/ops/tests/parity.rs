//! Outputs and gradients against PyTorch's, as `tests/parity/ops.py` wrote them, on every device.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use std::{collections::HashMap, path::Path, sync::LazyLock};

use candle_core::{Device, Result, Tensor};
use devices::devices;
use ops::{Activation, Fold, Node, Pool2d, Then, activate};

/// Absolute, and relative to values above 1.
const TOLERANCE: f32 = 1e-5;

static FIXTURE: LazyLock<HashMap<String, Tensor>> = LazyLock::new(|| {
    // cargo says it when it runs the tests, and so does who runs them on another machine
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = Path::new(&root).join("tests/fixtures/ops.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
});

fn fixture(name: &str) -> &'static Tensor {
    FIXTURE.get(name).unwrap_or_else(|| panic!("the fixture has no {name}"))
}

fn flat(x: &Tensor) -> Vec<f32> {
    ops::host(x).unwrap()
}

fn close(name: &str, found: &Tensor) {
    let expected = fixture(name);
    assert_eq!(found.dims(), expected.dims(), "{name}");
    near(name, &flat(found), &flat(expected), TOLERANCE);
}

fn near(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f - e).abs() / e.abs().max(1.0);
        assert!(error <= tolerance, "{name}[{i}]: expected {e}, found {f}");
    }
}

/// Compares output and gradients of a case, whose inputs bear the given names.
fn case(name: &str, inputs: &[&str], f: impl Fn(&[Node]) -> Result<Node>) {
    for device in devices() {
        let tensor =
            |input: &str| fixture(&format!("{name}.{input}")).to_device(&device).unwrap();
        let tensors: Vec<Tensor> = inputs.iter().map(|input| tensor(input)).collect();
        let nodes: Vec<Node> = tensors.iter().map(Node::variable).collect();
        let y = f(&nodes).unwrap();
        close(&format!("{name}.y"), &y);
        let gradients = y.backward(&tensor("dy")).unwrap();
        for (input, x) in inputs.iter().zip(tensors) {
            close(&format!("{name}.d{input}"), gradients.get(&x).unwrap());
        }
    }
}

#[test]
fn pooling() {
    for (name, kernel, stride, padding) in [
        ("halve", (2, 2), (2, 2), (0, 0)),
        ("stem", (3, 3), (2, 2), (1, 1)),
        ("oblong", (2, 3), (1, 2), (1, 0)),
        ("sparse", (2, 2), (3, 4), (1, 1)),
        ("dense", (3, 3), (1, 1), (1, 1)),
    ] {
        let pool = Pool2d { kernel, stride, padding };
        case(&format!("max.{name}"), &["x"], |x| ops::max_pool2d(&x[0], pool));
        case(&format!("avg.{name}"), &["x"], |x| ops::avg_pool2d(&x[0], pool));
    }
}

#[test]
fn equal_maxima() {
    let pool = Pool2d { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
    case("max.ties", &["x"], |x| ops::max_pool2d(&x[0], pool));
}

#[test]
fn adaptive_pooling() {
    for (name, size) in
        [("shrink", (3, 3)), ("grow", (7, 7)), ("uneven", (4, 2)), ("one", (1, 1))]
    {
        case(&format!("adaptive.{name}"), &["x"], |x| {
            ops::adaptive_avg_pool2d(&x[0], size)
        });
    }
}

#[test]
fn batch_normalisation() {
    let inputs = ["x", "gamma", "beta"];
    case("norm.train", &inputs, |x| {
        Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-5, Then::NOTHING)?.0)
    });
    // in evaluation gamma and beta are constants
    case("norm.eval", &["x"], |x| {
        let of = |name: &str| fixture(&format!("norm.{name}")).to_device(x[0].device());
        let (gamma, beta) = (of("eval.gamma")?, of("eval.beta")?);
        let (mean, variance) = (of("running_mean")?, of("running_var")?);
        let fold = Fold::new(&gamma, &beta, &mean, &variance, 1e-5)?;
        ops::batch_norm_eval(&x[0], &fold, Then::NOTHING)
    });
}

#[test]
fn running_statistics_take_the_unbiased_variance() -> Result<()> {
    for device in devices() {
        let of = |name: &str| -> Result<Node> {
            Ok(Node::from(&fixture(&format!("norm.train.{name}")).to_device(&device)?))
        };
        let (x, gamma, beta) = (of("x")?, of("gamma")?, of("beta")?);
        let (_, moments) = ops::batch_norm(&x, &gamma, &beta, 1e-5, Then::NOTHING)?;
        // momentum 0.1, from mean 0 and variance 1
        let mean = ops::blend(&moments.mean.zeros_like()?, &moments.mean, 0.1)?;
        let variance = ops::blend(&moments.variance.ones_like()?, &moments.variance, 0.1)?;
        near("mean", &flat(&mean), &flat(fixture("norm.running_mean")), TOLERANCE);
        near("variance", &flat(&variance), &flat(fixture("norm.running_var")), TOLERANCE);
    }
    Ok(())
}

#[test]
fn activations() {
    case("relu", &["x"], |x| activate(&x[0], Activation::Relu));
    case("relu6", &["x"], |x| activate(&x[0], Activation::Relu6));
}

#[test]
fn losses() {
    let target = fixture("cross_entropy.target").to_vec1::<i64>().unwrap();
    case("cross_entropy", &["x"], |x| ops::cross_entropy(&x[0], &target));
    case("bce", &["x"], |x| {
        ops::bce_with_logits(&x[0], &fixture("bce.targets").to_device(x[0].device())?)
    });
}

#[test]
fn losses_of_plain_slices() -> Result<()> {
    let rows = fixture("cross_entropy.x").to_vec2::<f32>()?;
    let target = fixture("cross_entropy.target").to_vec1::<i64>()?;
    let hot = fixture("bce.targets").to_vec2::<f32>()?;
    for (i, z) in rows.iter().enumerate() {
        let expected = flat(fixture("cross_entropy.y"))[i];
        let loss = ops::softmax::cross_entropy(z, target[i] as usize);
        near("cross_entropy", &[loss], &[expected], TOLERANCE);

        let labels: Vec<u8> = hot[i].iter().map(|t| *t as u8).collect();
        let expected = flat(fixture("bce.y"))[i];
        near("bce", &[ops::softmax::bce(z, &labels)], &[expected], TOLERANCE);

        let log_p = fixture("log_softmax.y").to_vec2::<f32>()?;
        let p: Vec<f32> = log_p[i].iter().map(|v| v.exp()).collect();
        near("softmax", &ops::softmax::softmax(z), &p, TOLERANCE);
        let entropy: f32 = -p.iter().zip(&log_p[i]).map(|(p, l)| p * l).sum::<f32>();
        near("entropy", &[ops::softmax::entropy(z)], &[entropy], TOLERANCE);
    }
    Ok(())
}

#[test]
fn resizing() {
    for i in 0..4 {
        let (x, y) = (fixture(&format!("resize.{i}.x")), fixture(&format!("resize.{i}.y")));
        let (from, to) = (x.dims2().unwrap(), y.dims2().unwrap());
        near("resize", &ops::resize::bilinear(&flat(x), from, to), &flat(y), 1e-6);
    }
}
