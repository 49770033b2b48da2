//! What every stage's `main` shares: its common flags, its log, its progress, its
//! provenance and its exit code.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! /// Does something to a file
//! #[derive(clap::Parser)]
//! #[command(name = "something", version)]
//! struct Args {
//!     /// What to read
//!     #[arg(long, value_name = "FILE")]
//!     data: std::path::PathBuf,
//!     #[command(flatten)]
//!     common: stage::Common,
//! }
//!
//! fn run(args: &Args, stage: &stage::Stage) -> anyhow::Result<()> {
//!     let provenance = stage.provenance().with_input("data", artifact::digest(&args.data)?);
//!     // …
//!     Ok(())
//! }
//!
//! fn main() -> ExitCode {
//!     stage::main(run)
//! }
//! ```

mod common;
mod interrupt;
mod log;
mod memory;
mod progress;
mod revision;
mod run;
mod terminal;
mod text;

pub use common::{Accelerator, Common, Precision, ProgressStyle};
pub use interrupt::Interrupted;
pub use memory::in_batches_of;
pub use progress::Progress;
pub use run::{Stage, main};
pub use terminal::print;
