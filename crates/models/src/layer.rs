//! The layers that the networks are made of, and how a chain of them is run.

use std::sync::Arc;

use candle_core::{Result, Var};
use ops::{Activation, Fold, Node, Pool2d, Then};

use crate::{Mode, init::Init, running::Running, store::Store};

/// One step of a network.
pub(crate) enum Layer {
    Conv(Conv),
    BatchNorm(BatchNorm),
    Activation(Activation),
    /// `MaxPool2d`.
    MaxPool(Pool2d),
    /// `AdaptiveAvgPool2d` to a square of this side.
    AdaptivePool(usize),
    /// `torch.flatten(x, 1)`.
    Flatten,
    Dropout(Dropout),
    Linear(Linear),
    /// Layers under one name.
    Sequence(Vec<Layer>),
    Residual(Residual),
}

/// Layers by torchvision's names, in the order in which they are applied.
pub(crate) type Chain = Vec<(String, Layer)>;

/// Runs layers one after the other.
///
/// A convolution, its batch normalisation and its activation are one step where they follow
/// each other; the result is the same, bit by bit, as if they were not.
pub(crate) fn run<'a>(
    layers: impl IntoIterator<Item = &'a Layer>,
    x: Node,
    mode: Mode,
) -> Result<Node> {
    let layers: Vec<&Layer> = layers.into_iter().collect();
    let (mut rest, mut x) = (&layers[..], x);
    while let [first, others @ ..] = rest {
        (x, rest) = match rest {
            [
                Layer::Conv(conv),
                Layer::BatchNorm(norm),
                Layer::Activation(activation),
                rest @ ..,
            ] => {
                let then = Then { activation: *activation, ..Then::NOTHING };
                (normalized(conv, norm, &x, then, mode)?, rest)
            }
            [Layer::Conv(conv), Layer::BatchNorm(norm), rest @ ..] => {
                (normalized(conv, norm, &x, Then::NOTHING, mode)?, rest)
            }
            [Layer::Conv(conv), Layer::Activation(activation), rest @ ..] => {
                (conv.forward(&x, *activation, mode)?, rest)
            }
            [Layer::BatchNorm(norm), Layer::Activation(activation), rest @ ..] => {
                let then = Then { activation: *activation, ..Then::NOTHING };
                (norm.forward(&x, then, mode)?, rest)
            }
            _ => (first.forward(x, mode)?, others),
        };
    }
    Ok(x)
}

/// `activation(norm(conv(x)) + shortcut)`; in evaluation `norm` is folded into a `conv` that has
/// no bias (VGG-16's have one).
fn normalized(
    conv: &Conv,
    norm: &BatchNorm,
    x: &Node,
    then: Then<'_>,
    mode: Mode,
) -> Result<Node> {
    match mode {
        Mode::Eval if conv.bias.is_none() => {
            let weight = conv.weight.as_detached_tensor();
            ops::conv2d_folded(x, &weight, conv.geometry, &norm.fold()?, then)
        }
        _ => norm.forward(&conv.forward(x, Activation::Identity, mode)?, then, mode),
    }
}

impl Layer {
    fn forward(&self, x: Node, mode: Mode) -> Result<Node> {
        match self {
            Self::Conv(conv) => conv.forward(&x, Activation::Identity, mode),
            Self::BatchNorm(norm) => norm.forward(&x, Then::NOTHING, mode),
            Self::Activation(activation) => ops::activate(&x, *activation),
            Self::MaxPool(pool) => ops::max_pool2d(&x, *pool),
            Self::AdaptivePool(side) => ops::adaptive_avg_pool2d(&x, (*side, *side)),
            Self::Flatten => x.flatten_from(1),
            Self::Dropout(dropout) => dropout.forward(x, mode),
            Self::Linear(linear) => linear.forward(&x, mode),
            Self::Sequence(layers) => run(layers, x, mode),
            Self::Residual(residual) => residual.forward(x, mode),
        }
    }
}

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

impl Conv {
    fn forward(&self, x: &Node, activation: Activation, mode: Mode) -> Result<Node> {
        let bias = self.bias.as_ref().map(|bias| mode.parameter(bias));
        let weight = mode.parameter(&self.weight);
        ops::conv2d_activated(x, &weight, bias.as_ref(), self.geometry, activation)
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

impl BatchNorm {
    fn forward(&self, x: &Node, then: Then<'_>, mode: Mode) -> Result<Node> {
        if mode == Mode::Eval {
            return ops::batch_norm_eval(x, &self.fold()?, then);
        }
        let (weight, bias) = (mode.parameter(&self.weight), mode.parameter(&self.bias));
        let (y, moments) = ops::batch_norm(x, &weight, &bias, Self::EPSILON, then)?;
        self.running.update(&moments)?;
        Ok(y)
    }

    /// What it does in evaluation.
    fn fold(&self) -> Result<Fold> {
        let seen = self.running.get();
        let (mean, variance) = (&seen.mean, &seen.variance);
        Fold::new(&self.weight, &self.bias, mean, variance, Self::EPSILON)
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

impl Linear {
    fn forward(&self, x: &Node, mode: Mode) -> Result<Node> {
        ops::linear(x, &mode.parameter(&self.weight), Some(&mode.parameter(&self.bias)))
    }
}

/// `Dropout`.
pub(crate) struct Dropout {
    /// Probability of a zero.
    pub(crate) p: f32,
    /// Its place in the chain, so that two of them draw different zeros.
    pub(crate) position: usize,
}

impl Dropout {
    fn forward(&self, x: Node, mode: Mode) -> Result<Node> {
        match mode {
            Mode::Train { dropout_seed } => {
                // an odd factor spreads the places over the seeds
                let place = (self.position as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                ops::dropout(&x, self.p, dropout_seed.wrapping_add(place))
            }
            Mode::Eval => Ok(x),
        }
    }
}

/// `activation(norm(conv(inner(x))) + shortcut(x))`, the end of it in one step.
pub(crate) struct Residual {
    pub(crate) inner: Vec<Layer>,
    pub(crate) conv: Conv,
    pub(crate) norm: BatchNorm,
    /// Empty where the input itself is added.
    pub(crate) shortcut: Vec<Layer>,
    pub(crate) activation: Activation,
}

impl Residual {
    fn forward(&self, x: Node, mode: Mode) -> Result<Node> {
        let shortcut = run(&self.shortcut, x.clone(), mode)?;
        let inner = run(&self.inner, x, mode)?;
        let then = Then { shortcut: Some(&shortcut), activation: self.activation };
        normalized(&self.conv, &self.norm, &inner, then, mode)
    }
}
