//! Where the work is done, and how often.

#![expect(clippy::print_stdout, reason = "the answers are this program's result")]

use std::{
    io::{Write, stdin, stdout},
    sync::OnceLock,
    time::Instant,
};

use anyhow::Result;
use candle_core::Device;
use clap::Args;
use stage::{Accelerator, Precision};

#[derive(Args, Debug, Default)]
pub(crate) struct Place {
    #[arg(long, value_enum, default_value_t)]
    device: Accelerator,
    /// In what a GPU computes
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// How often a repetition does the work; it is over when the device has done it
    #[arg(long, default_value_t = 1)]
    times: u32,
    #[arg(skip)]
    opened: OnceLock<Device>,
}

impl Place {
    pub(crate) fn open(&self) -> Result<Device> {
        if let Some(device) = self.opened.get() {
            return Ok(device.clone());
        }
        let device = match self.device {
            Accelerator::Cpu => Device::Cpu,
            Accelerator::Cuda => {
                ops::gpu(self.precision.map(Into::into).unwrap_or_default())?
            }
        };
        Ok(self.opened.get_or_init(|| device).clone())
    }

    /// One repetition a line, after one to warm up; answers the seconds of doing the work once.
    pub(crate) fn repeat<R>(&self, mut work: impl FnMut() -> Result<R>) -> Result<()> {
        let device = self.open()?;
        let times = self.times.max(1);
        work()?;
        for line in stdin().lines() {
            line?;
            device.synchronize()?;
            let start = Instant::now();
            for _ in 0..times {
                work()?;
            }
            device.synchronize()?;
            println!("{}", start.elapsed().as_secs_f64() / f64::from(times));
            stdout().flush()?;
        }
        Ok(())
    }
}
