use std::{collections::BTreeMap, fmt};

use candle_core::{Device, Tensor, Var};
use ops::Node;

use crate::{
    Arch, Error, Head, Normalization, Result, Tap,
    layer::{self, Chain, Layer},
    mobilenet,
    resnet::{self, Block},
    store::{Store, Tensors},
    tap, vgg,
};

/// How a network is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Parameters get gradients; batch norm uses the batch's statistics and takes them into
    /// its running ones; dropout draws from the seed.
    Train {
        /// Another one for each step.
        dropout_seed: u64,
    },
    /// Parameters are constants; batch norm uses its running statistics; no dropout. What
    /// comes out for an image does not depend on the others in its batch.
    Eval,
}

impl Mode {
    /// A parameter as this mode uses it.
    pub(crate) fn parameter(self, parameter: &Var) -> Node {
        match self {
            Self::Train { .. } => Node::from(parameter),
            Self::Eval => Node::from(parameter.as_tensor()),
        }
    }
}

/// A network that can be split at a tap.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use candle_core::{DType, Device, Tensor};
/// use models::{Arch, Head, Mode, Network, Normalization};
/// use ops::Node;
///
/// let norm = Normalization { mean: [0.5; 3], std: [0.25; 3] };
/// let net = Network::new(Arch::Resnet20, 10, norm, 0)?;
/// let pixels = Node::from(&Tensor::ones((1, 3, 64, 64), DType::F32, &Device::Cpu)?);
///
/// let tap = net.resolve_tap(None)?;
/// let activation = net.features(&pixels, &tap, Mode::Eval)?;
/// assert_eq!(activation.dims(), [1, 64, 16, 16]);
/// assert_eq!(net.head(&activation, &tap, Mode::Eval)?.dims(), [1, 10]);
///
/// let again = Network::load(Arch::Resnet20, 10, norm, &net.state()?, Head::Keep)?;
/// let empty = Network::load(Arch::Resnet20, 10, norm, &BTreeMap::new(), Head::Keep);
/// assert!(empty.unwrap_err().to_string().contains("unfilled: conv1.weight"));
/// # Ok::<(), models::Error>(())
/// ```
pub struct Network {
    arch: Arch,
    classes: usize,
    normalization: Normalization,
    device: Device,
    chain: Chain,
    tensors: Tensors,
}

impl Network {
    /// A network with torchvision's initialisation, a pure function of the arguments.
    ///
    /// Convolutions: Kaiming normal, fan-out, for `ReLU`; batch norm: 1 and 0; linear layers:
    /// normal of deviation 0.01 and zero bias in VGG and MobileNetV2, PyTorch's default
    /// ±1/√inputs in residual networks (ResNet-20 too); other biases 0. Each parameter is
    /// drawn from the `ChaCha8` stream that has its number in torchvision's order, with the
    /// seed as key.
    ///
    /// # Errors
    ///
    /// If there are no classes.
    pub fn new(
        arch: Arch,
        classes: usize,
        normalization: Normalization,
        seed: u64,
    ) -> Result<Self> {
        Self::assemble(Store::drawn(arch, classes, seed)?, normalization)
    }

    /// A network with the parameters and buffers of a torchvision `state_dict`.
    ///
    /// `tensors` must fit exactly, with two exceptions: `num_batches_tracked` may be absent
    /// (it is 0 then), and [`Head::Fresh`] leaves the file's classifier aside. timm's
    /// `resnet18/34/50`, `vgg16`, `vgg16_bn` and `mobilenetv2_100` are taken too; their
    /// names are mapped to torchvision's. The tensors are copied; other floating-point types
    /// become f32.
    ///
    /// # Errors
    ///
    /// [`Error::Keys`] names what is unfilled, unused and of the wrong shape.
    pub fn load(
        arch: Arch,
        classes: usize,
        normalization: Normalization,
        tensors: &BTreeMap<String, Tensor>,
        head: Head,
    ) -> Result<Self> {
        let store = Store::loaded(arch, classes, tensors, head, &Device::Cpu)?;
        Self::assemble(store, normalization)
    }

    /// The network with its parameters and buffers on `device`, where it takes its input from
    /// then.
    ///
    /// # Errors
    ///
    /// If they cannot be copied.
    pub fn to_device(self, device: &Device) -> Result<Self> {
        if self.device().same_device(device) {
            return Ok(self);
        }
        let (arch, state) = (self.arch, self.state()?);
        let store = Store::loaded(arch, self.classes, &state, Head::Keep, device)?;
        Self::assemble(store, self.normalization)
    }

    fn assemble(mut store: Store, normalization: Normalization) -> Result<Self> {
        let (arch, classes) = (store.arch(), store.classes());
        let device = store.device().clone();
        let into = &mut store;
        let chain = match arch {
            Arch::Vgg16 => vgg::chain(into, false),
            Arch::Vgg16Bn => vgg::chain(into, true),
            Arch::Resnet18 => resnet::chain(into, Block::Basic, [2, 2, 2, 2]),
            Arch::Resnet34 => resnet::chain(into, Block::Basic, [3, 4, 6, 3]),
            Arch::Resnet50 => resnet::chain(into, Block::Bottleneck, [3, 4, 6, 3]),
            Arch::MobilenetV2 => mobilenet::chain(into),
            Arch::Resnet20 => resnet::small_chain(into),
        }?;
        let tensors = store.finish()?;
        Ok(Self { arch, classes, normalization, device, chain, tensors })
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The architecture.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The number of logits.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The first layer.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// The names at which the network may be split, in the order of the computation.
    ///
    /// Activations are `[N, C, h, w]` up to `avgpool`, and `[N, C]` from `flatten` on.
    pub fn taps(&self) -> Vec<String> {
        tap::all(self.arch, &self.chain).into_iter().map(|tap| tap.name).collect()
    }

    /// The tap of this name, or the architecture's default.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTap`] lists the names there are.
    pub fn resolve_tap(&self, name: Option<&str>) -> Result<Tap> {
        let name = name.unwrap_or(self.arch.default_tap());
        let found = tap::all(self.arch, &self.chain).into_iter().find(|t| t.name == name);
        found.ok_or_else(|| self.unknown(name))
    }

    /// The tap before the last layer: its activation, `[N, F]`, is what that layer reads.
    pub fn penultimate(&self) -> Tap {
        tap::penultimate(self.arch, &self.chain)
    }

    /// The activation at `tap`: normalisation and the blocks up to and including it.
    ///
    /// # Shapes
    ///
    /// - `x`: `[N, 3, H, W]`, pixels in \[0, 1\]
    ///
    /// # Errors
    ///
    /// If the tap is another architecture's, or the image is too small for a layer.
    pub fn features(&self, x: &Node, tap: &Tap, mode: Mode) -> Result<Node> {
        self.check(tap)?;
        let Normalization { mean, std } = &self.normalization;
        run(&self.chain[..tap.length], ops::normalize(x, mean, std)?, mode)
    }

    /// The logits of an activation at `tap`: the blocks after it.
    ///
    /// # Shapes
    ///
    /// - `a`: as [`Self::features`] returns it
    /// - result: `[N, K]`
    ///
    /// # Errors
    ///
    /// If the tap is another architecture's, or the activation not of its shape.
    pub fn head(&self, a: &Node, tap: &Tap, mode: Mode) -> Result<Node> {
        self.check(tap)?;
        run(&self.chain[tap.length..], a.clone(), mode)
    }

    /// The logits: [`Self::head`] of [`Self::features`].
    pub fn forward(&self, x: &Node, mode: Mode) -> Result<Node> {
        let Normalization { mean, std } = &self.normalization;
        run(&self.chain, ops::normalize(x, mean, std)?, mode)
    }

    /// What is trained, by torchvision's names. Setting a variable changes the network.
    pub fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.tensors.parameters
    }

    /// The names of the blocks that have parameters, in the order of the computation.
    pub fn blocks(&self) -> Vec<&str> {
        let trained = |name: &&str| self.parameters().keys().any(|key| in_block(key, name));
        self.chain.iter().map(|(name, _)| name.as_str()).filter(trained).collect()
    }

    /// Takes over the parameters of a block and its running statistics from `other`.
    ///
    /// # Errors
    ///
    /// [`Error::OtherShape`] if the networks are not of the same architecture and classes.
    pub fn copy_block(&self, block: &str, other: &Self) -> Result<()> {
        if (self.arch, self.classes) != (other.arch, other.classes) {
            return Err(Error::OtherShape {
                expected: (self.arch, self.classes),
                found: (other.arch, other.classes),
            });
        }
        let (ours, theirs) = (&self.tensors, &other.tensors);
        for (name, parameter) in &ours.parameters {
            if in_block(name, block) {
                parameter.set(theirs.parameters[name].as_tensor())?;
            }
        }
        for (name, running) in &ours.running {
            if name == block || in_block(name, block) {
                running.set(theirs.running[name].get());
            }
        }
        Ok(())
    }

    /// Parameters and buffers, torchvision's `state_dict`: the parameters' memory itself, which
    /// the next step of training changes.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, parameter) in &self.tensors.parameters {
            state.insert(name.clone(), parameter.as_detached_tensor());
        }
        for (name, running) in &self.tensors.running {
            let seen = running.get();
            let batches = Tensor::new(seen.batches, &Device::Cpu)?;
            state.insert(format!("{name}.running_mean"), seen.mean);
            state.insert(format!("{name}.running_var"), seen.variance);
            state.insert(format!("{name}.num_batches_tracked"), batches);
        }
        Ok(state)
    }

    fn check(&self, tap: &Tap) -> Result<()> {
        if tap.arch == self.arch { Ok(()) } else { Err(self.unknown(&tap.name)) }
    }

    fn unknown(&self, tap: &str) -> Error {
        Error::UnknownTap {
            arch: self.arch,
            found: tap.to_owned(),
            expected: self.taps().join(", "),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("arch", &self.arch)
            .field("classes", &self.classes)
            .field("normalization", &self.normalization)
            .finish_non_exhaustive()
    }
}

/// Is `name` that of something in the block, as `fc.weight` is in `fc`?
fn in_block(name: &str, block: &str) -> bool {
    name.strip_prefix(block).is_some_and(|rest| rest.starts_with('.'))
}

fn run(blocks: &[(String, Layer)], x: Node, mode: Mode) -> Result<Node> {
    Ok(layer::run(blocks.iter().map(|(_, layer)| layer), x, mode)?)
}
