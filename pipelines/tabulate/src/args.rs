use std::path::PathBuf;

use clap::Parser;

use crate::measure::Measure;

/// Compare what methods achieve over seeds with a baseline
///
/// Writes OUTPUT (Parquet), and the same as .md and .html beside it.
#[derive(Debug, Parser)]
#[command(name = "tabulate", version)]
pub(crate) struct Args {
    /// Runs, a line each of words with tabs between: setting, method, seed, and the file of the
    /// evaluation, or the files of several; without --measure, in place of files, the name of what
    /// was measured by other means, and its value
    #[arg(long, value_name = "FILE")]
    pub(crate) runs: PathBuf,

    /// Measure to compare: NAME=ROW, or NAME=ROW - ROW for a difference, where ROW is
    /// METRIC[,GROUP[,EXPLAINER]] as evaluate names them, with @N for a run's N-th file; where NAME
    /// ends with %, shares are written as percentages
    #[arg(long = "measure", value_name = "NAME=ROW")]
    pub(crate) measures: Vec<Measure>,

    /// Method that the others are compared with, seed by seed
    #[arg(long, value_name = "METHOD")]
    pub(crate) baseline: Option<String>,

    /// The paper's own figures, a line each of four words with tabs between: setting, method,
    /// measure and value
    #[arg(long, value_name = "FILE")]
    pub(crate) paper: Option<PathBuf>,

    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "Methods over seeds")]
    pub(crate) title: String,

    /// A paragraph under the title: how the runs were made
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,

    /// Table to write (Parquet)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) common: stage::Common,
}
