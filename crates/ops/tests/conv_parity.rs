//! Convolution and linear layer against `PyTorch` (`tests/parity/ops_conv.py`), on every device.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use std::path::Path;

use candle_core::{Device, Result, Tensor, Var};
use devices::devices;
use ops::{Conv2d, Node, conv2d, linear};
use safetensors::SafeTensors;

struct Fixture(Vec<u8>);

impl Fixture {
    fn read() -> Self {
        // cargo says it when it runs the tests, and so does who runs them on another machine
        let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let path = Path::new(&root).join("tests/fixtures/conv.safetensors");
        Self(std::fs::read(path).unwrap())
    }

    fn arguments(&self, name: &str) -> Conv2d {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        let words = header.metadata().as_ref().unwrap()[name].split(' ');
        let [sy, sx, py, px, dy, dx, groups] =
            words.map(|v| v.parse().unwrap()).collect::<Vec<usize>>()[..]
        else {
            panic!("seven arguments")
        };
        Conv2d { stride: (sy, sx), padding: (py, px), dilation: (dy, dx), groups }
    }

    fn tensor(&self, name: &str) -> Tensor {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        let bytes = view.data().chunks_exact(4);
        let values: Vec<f32> =
            bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Tensor::from_vec(values, view.shape(), &Device::Cpu).unwrap()
    }

    /// Compares the result of `f` and its gradients with those of case `name`.
    fn compare(
        &self,
        name: &str,
        f: impl Fn(&Node, &Node, &Node) -> Result<Node>,
    ) -> Result<()> {
        let get = |key: &str| self.tensor(&format!("{name}.{key}"));
        for device in devices() {
            let var = |key: &str| Var::from_tensor(&get(key).to_device(&device)?);
            let (x, w, b) = (var("x")?, var("w")?, var("b")?);
            let y = f(&Node::from(&x), &Node::from(&w), &Node::from(&b))?;
            let grads = y.clone().backward(&get("g").to_device(&device)?)?;
            assert_close(&y, &get("y"), &format!("{name}.y"))?;
            for (var, key) in [(x, "dx"), (w, "dw"), (b, "db")] {
                let what = format!("{name}.{key}");
                assert_close(grads.get(&var).unwrap(), &get(key), &what)?;
            }
        }
        Ok(())
    }
}

/// To 1e-5 of the largest element.
fn assert_close(found: &Tensor, expected: &Tensor, what: &str) -> Result<()> {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let found = Tensor::from_vec(ops::host(found)?, found.shape(), &Device::Cpu)?;
    let difference = (found - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
    let scale = expected.abs()?.max_all()?.to_scalar::<f32>()?;
    assert!(difference <= 1e-5 * scale, "{what} differs by {difference} of {scale}");
    Ok(())
}

#[test]
fn convolutions_agree_with_pytorch() -> Result<()> {
    let fixture = Fixture::read();
    for name in [
        "plain",
        "first_layer",
        "strided",
        "uneven",
        "projection",
        "pointwise",
        "grouped",
        "depthwise",
        "multiplied",
    ] {
        let conv = fixture.arguments(name);
        fixture.compare(name, |x, w, b| conv2d(x, w, Some(b), conv))?;
    }
    Ok(())
}

#[test]
fn a_linear_layer_agrees_with_pytorch() -> Result<()> {
    Fixture::read().compare("linear", |x, w, b| linear(x, w, Some(b)))
}
