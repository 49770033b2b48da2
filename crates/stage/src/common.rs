use anyhow::{Context, ensure};
use candle_core::Device;
use clap::{Args, ValueEnum};

/// Flags that every stage takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    pub device: Accelerator,
    /// In what a GPU computes; the processor does in f32 [default: tf32]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
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

/// In what convolutions and linear layers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Products and sums in f32
    F32,
    /// Factors rounded to TF32, sums in f32
    Tf32,
    /// Factors and activations in bf16, sums in f32
    Bf16,
}

impl Precision {
    /// Its name as a flag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

impl From<Precision> for ops::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Tf32 => Self::Tf32,
            Precision::Bf16 => Self::Bf16,
        }
    }
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
    /// Passes if there may be such a device: for stages that compute nothing on it.
    ///
    /// # Errors
    ///
    /// If a GPU is asked for and this was built without CUDA, or if the processor is to compute
    /// in another precision than f32.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.device {
            Accelerator::Cpu => ensure!(
                self.precision.is_none_or(|precision| precision == Precision::F32),
                "--precision {}: --device cpu computes in f32; give --device cuda with it",
                self.precision.map_or("", Precision::name),
            ),
            Accelerator::Cuda => ensure!(
                ops::HAS_CUDA,
                "--device cuda: this program was built without CUDA; use --device cpu"
            ),
        }
        Ok(())
    }

    /// Opens the device; of a GPU, says in what it computes.
    pub(crate) fn open(&self) -> anyhow::Result<(Device, Option<Precision>)> {
        self.check()?;
        match self.device {
            Accelerator::Cpu => Ok((Device::Cpu, None)),
            Accelerator::Cuda => {
                let precision = self.precision.unwrap_or(Precision::Tf32);
                let device = ops::gpu(precision.into()).context("--device cuda")?;
                Ok((device, Some(precision)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(device: Accelerator, precision: Option<Precision>) -> Common {
        Common { device, precision, seed: 0, progress: ProgressStyle::None }
    }

    #[test]
    fn the_processor_computes_in_f32_alone() {
        assert!(common(Accelerator::Cpu, Some(Precision::F32)).check().is_ok());
        let error = common(Accelerator::Cpu, Some(Precision::Bf16)).check().unwrap_err();
        assert!(
            error.to_string().contains("--precision bf16: --device cpu computes in f32")
        );
    }

    #[test]
    fn a_gpu_is_never_replaced_in_silence() {
        if !ops::HAS_CUDA {
            let error = common(Accelerator::Cuda, None).open().unwrap_err().to_string();
            assert!(error.contains("built without CUDA; use --device cpu"), "{error}");
        }
    }
}
