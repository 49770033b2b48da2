use std::{collections::BTreeMap, sync::Arc};

use candle_core::{DType, Device, Tensor, Var};

use crate::{
    Arch, Error, Head, Result,
    init::Init,
    load::Checkpoint,
    running::{Running, Statistics},
};

/// Where the layers of a network get their parameters, and where these are kept by name.
///
/// A parameter is drawn or taken from the checkpoint; its number among the network's
/// parameters, in torchvision's order, is its random stream.
pub(crate) struct Store {
    arch: Arch,
    classes: usize,
    device: Device,
    checkpoint: Option<Checkpoint>,
    seed: u64,
    stream: u64,
    tensors: Tensors,
}

/// What a network is made of, by torchvision's names.
#[derive(Default)]
pub(crate) struct Tensors {
    pub(crate) parameters: BTreeMap<String, Var>,
    /// By the name of the batch normalisation.
    pub(crate) running: BTreeMap<String, Arc<Running>>,
}

impl Store {
    /// Everything is drawn from `seed`, on the CPU.
    pub(crate) fn drawn(arch: Arch, classes: usize, seed: u64) -> Result<Self> {
        Self::new(arch, classes, None, seed, &Device::Cpu)
    }

    /// Everything is taken from `tensors`, but for a fresh head, and brought to `device`.
    pub(crate) fn loaded(
        arch: Arch,
        classes: usize,
        tensors: &BTreeMap<String, Tensor>,
        head: Head,
        device: &Device,
    ) -> Result<Self> {
        let seed = match head {
            Head::Keep => 0,
            Head::Fresh { seed } => seed,
        };
        let checkpoint = Checkpoint::new(arch, tensors, head)?;
        Self::new(arch, classes, Some(checkpoint), seed, device)
    }

    fn new(
        arch: Arch,
        classes: usize,
        checkpoint: Option<Checkpoint>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        if classes == 0 {
            return Err(Error::NoClasses { arch });
        }
        let (device, tensors) = (device.clone(), Tensors::default());
        Ok(Self { arch, classes, device, checkpoint, seed, stream: 0, tensors })
    }

    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The next parameter, in torchvision's order.
    pub(crate) fn parameter(
        &mut self,
        name: String,
        shape: &[usize],
        init: Init,
    ) -> Result<Var> {
        let stream = self.stream;
        self.stream += 1;
        let tensor = match &mut self.checkpoint {
            Some(checkpoint) if checkpoint.covers(&name) => {
                checkpoint.take(&name, shape)?
            }
            _ => init.draw(shape, self.seed, stream)?,
        };
        // detached: a variable of the caller's would be shared, not copied
        let var = Var::from_tensor(&tensor.to_device(&self.device)?.detach())?;
        self.tensors.parameters.insert(name, var.clone());
        Ok(var)
    }

    /// The running statistics of the batch normalisation `name`.
    pub(crate) fn running(&mut self, name: &str, channels: usize) -> Result<Arc<Running>> {
        let mut statistics = match &mut self.checkpoint {
            Some(checkpoint) => Statistics {
                mean: checkpoint.take(&format!("{name}.running_mean"), &[channels])?,
                variance: checkpoint.take(&format!("{name}.running_var"), &[channels])?,
                batches: checkpoint.take_count(&format!("{name}.num_batches_tracked"))?,
            },
            None => Statistics {
                mean: Tensor::zeros(channels, DType::F32, &Device::Cpu)?,
                variance: Tensor::ones(channels, DType::F32, &Device::Cpu)?,
                batches: 0,
            },
        };
        statistics.mean = statistics.mean.to_device(&self.device)?;
        statistics.variance = statistics.variance.to_device(&self.device)?;
        let running = Arc::new(Running::new(statistics));
        self.tensors.running.insert(name.to_owned(), Arc::clone(&running));
        Ok(running)
    }

    /// All that was handed out, unless the checkpoint did not fit.
    pub(crate) fn finish(self) -> Result<Tensors> {
        let keys = self.checkpoint.map(Checkpoint::finish).unwrap_or_default();
        if keys.is_empty() {
            Ok(self.tensors)
        } else {
            Err(Error::Keys { arch: self.arch, classes: self.classes, keys })
        }
    }
}
