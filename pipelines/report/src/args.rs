use std::path::PathBuf;

use clap::Parser;

/// Show a run, beside its baseline, as one self-contained page
#[derive(Debug, Parser)]
#[command(name = "report", version)]
pub(crate) struct Args {
    /// The run's folder, with a folder for each round
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,

    /// The folder of the run to compare with: as many epochs, uniform weights
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<PathBuf>,

    /// The pack that was trained on
    #[arg(long, value_name = "PACK")]
    pub data: PathBuf,

    /// The pack that was evaluated
    #[arg(long, value_name = "PACK")]
    pub test: PathBuf,

    /// How many rounds to show; all there are without
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// The page to write
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,

    #[command(flatten)]
    pub common: stage::Common,
}
