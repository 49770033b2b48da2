//! The layers that the networks are made of.

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};
use ops::Pool2d;

use crate::{Mode, init::Init, running::Running, store::Store};

/// One step of a network.
pub(crate) trait Layer: Send + Sync {
    /// What the layer makes of `x`.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor>;
}

/// Layers by torchvision's names, in the order in which they are applied.
pub(crate) type Chain = Vec<(String, Box<dyn Layer>)>;

/// `Conv2d` with padding (kernel − 1) / 2.
pub(crate) struct Conv {
    weight: Var,
    bias: Option<Var>,
    geometry: ops::Conv2d,
}

impl Conv {
    /// A dense convolution of `channels` (inputs, outputs), without bias.
    pub(crate) fn new(
        store: &mut Store,
        name: &str,
        channels: (usize, usize),
        kernel: usize,
        stride: usize,
    ) -> crate::Result<Self> {
        let (inputs, outputs) = channels;
        let weight = store.parameter(
            format!("{name}.weight"),
            &[outputs, inputs, kernel, kernel],
            Init::kaiming_fan_out(outputs, kernel),
        )?;
        let padding = (kernel - 1) / 2;
        let geometry = ops::Conv2d {
            stride: (stride, stride),
            padding: (padding, padding),
            ..ops::Conv2d::default()
        };
        Ok(Self { weight, bias: None, geometry })
    }

    /// The 3×3 convolution of VGG: stride 1, with bias.
    pub(crate) fn biased(
        store: &mut Store,
        name: &str,
        channels: (usize, usize),
    ) -> crate::Result<Self> {
        let conv = Self::new(store, name, channels, 3, 1)?;
        let bias =
            store.parameter(format!("{name}.bias"), &[channels.1], Init::Constant(0.0))?;
        Ok(Self { bias: Some(bias), ..conv })
    }

    /// A 3×3 convolution of each channel by itself, without bias.
    pub(crate) fn depthwise(
        store: &mut Store,
        name: &str,
        channels: usize,
        stride: usize,
    ) -> crate::Result<Self> {
        let mut conv = Self::new(store, name, (1, channels), 3, stride)?;
        conv.geometry.groups = channels;
        Ok(conv)
    }
}

impl Layer for Conv {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|bias| mode.parameter(bias));
        ops::conv2d(x, &mode.parameter(&self.weight), bias.as_ref(), self.geometry)
    }
}

/// `BatchNorm2d`.
pub(crate) struct BatchNorm {
    weight: Var,
    bias: Var,
    running: Arc<Running>,
}

impl BatchNorm {
    /// Added to the variance; PyTorch's default.
    const EPSILON: f64 = 1e-5;

    pub(crate) fn new(
        store: &mut Store,
        name: &str,
        channels: usize,
    ) -> crate::Result<Self> {
        let mut parameter = |leaf, value| {
            store.parameter(format!("{name}.{leaf}"), &[channels], Init::Constant(value))
        };
        let weight = parameter("weight", 1.0)?;
        let bias = parameter("bias", 0.0)?;
        Ok(Self { weight, bias, running: store.running(name, channels)? })
    }
}

impl Layer for BatchNorm {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (weight, bias) = (mode.parameter(&self.weight), mode.parameter(&self.bias));
        match mode {
            Mode::Train { .. } => {
                let (y, moments) = ops::batch_norm(x, &weight, &bias, Self::EPSILON)?;
                self.running.update(&moments)?;
                Ok(y)
            }
            Mode::Eval => {
                let seen = self.running.get();
                let (mean, variance) = (&seen.mean, &seen.variance);
                ops::batch_norm_eval(x, &weight, &bias, mean, variance, Self::EPSILON)
            }
        }
    }
}

/// `Linear`, with bias.
pub(crate) struct Linear {
    weight: Var,
    bias: Var,
}

impl Linear {
    /// `init` of the weight and of the bias.
    pub(crate) fn new(
        store: &mut Store,
        name: &str,
        (inputs, outputs): (usize, usize),
        init: [Init; 2],
    ) -> crate::Result<Self> {
        let weight =
            store.parameter(format!("{name}.weight"), &[outputs, inputs], init[0])?;
        let bias = store.parameter(format!("{name}.bias"), &[outputs], init[1])?;
        Ok(Self { weight, bias })
    }
}

impl Layer for Linear {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        ops::linear(x, &mode.parameter(&self.weight), Some(&mode.parameter(&self.bias)))
    }
}

/// `ReLU`.
pub(crate) struct Relu;

impl Layer for Relu {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        ops::relu(x)
    }
}

/// `ReLU6`.
pub(crate) struct Relu6;

impl Layer for Relu6 {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        ops::relu6(x)
    }
}

/// `MaxPool2d`.
pub(crate) struct MaxPool(pub(crate) Pool2d);

impl Layer for MaxPool {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        ops::max_pool2d(x, self.0)
    }
}

/// `AdaptiveAvgPool2d` to a square of this side.
pub(crate) struct AdaptivePool(pub(crate) usize);

impl Layer for AdaptivePool {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        ops::adaptive_avg_pool2d(x, (self.0, self.0))
    }
}

/// `torch.flatten(x, 1)`.
pub(crate) struct Flatten;

impl Layer for Flatten {
    fn forward(&self, x: &Tensor, _: Mode) -> Result<Tensor> {
        x.flatten_from(1)
    }
}

/// `Dropout`.
pub(crate) struct Dropout {
    /// Probability of a zero.
    pub(crate) p: f32,
    /// Its place in the chain, so that two of them draw different zeros.
    pub(crate) position: usize,
}

impl Layer for Dropout {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match mode {
            Mode::Train { dropout_seed } => {
                // an odd factor spreads the places over the seeds
                let place = (self.position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                ops::dropout(x, self.p, dropout_seed.wrapping_add(place))
            }
            Mode::Eval => Ok(x.clone()),
        }
    }
}

/// Layers one after the other.
pub(crate) struct Sequence(pub(crate) Vec<Box<dyn Layer>>);

impl Layer for Sequence {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x, mode))
    }
}
