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
    /// If a GPU is asked for: there is no GPU side yet, and never a silent fall-back.
    pub fn device(&self) -> anyhow::Result<Device> {
        match self.device {
            Accelerator::Cpu => Ok(Device::Cpu),
            Accelerator::Cuda => anyhow::bail!(
                "--device cuda: this program was built without CUDA; use --device cpu"
            ),
        }
    }
}
