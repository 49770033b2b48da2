use anyhow::Context;
use candle_core::Device;
use clap::{Args, ValueEnum};

/// Flags that every stage takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    pub device: Accelerator,
    /// What everything random is drawn from
    #[arg(long, default_value_t)]
    pub seed: u64,
    /// How to tell on stderr how far it is
    #[arg(long, value_enum, default_value_t)]
    pub progress: ProgressStyle,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Accelerator {
    /// This machine's processor
    #[default]
    Cpu,
    /// The first NVIDIA GPU
    Cuda,
}

/// How progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, else plain lines
    #[default]
    Auto,
    /// A bar; plain lines where stderr is no terminal
    Bar,
    /// A line every five seconds
    Plain,
    /// Not at all
    None,
}

impl Common {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// If a GPU is asked for and there is none, or the program is built without support for
    /// it: it never falls back to the CPU in silence.
    pub fn device(&self) -> anyhow::Result<Device> {
        match self.device {
            Accelerator::Cpu => Ok(Device::Cpu),
            Accelerator::Cuda if !cfg!(feature = "cuda") => {
                anyhow::bail!(
                    "--device cuda: this program was built without CUDA; \
                     build it with --features stage/cuda, or use --device cpu"
                )
            }
            Accelerator::Cuda => Device::new_cuda(0).context(
                "--device cuda: cannot open a GPU; use --device cpu if there is none",
            ),
        }
    }
}
