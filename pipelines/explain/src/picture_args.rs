//! The flags of pictures.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use pictures::Colours;

use crate::samples::Samples;

/// What is drawn, and where.
#[derive(Debug, Args)]
pub(crate) struct PictureArgs {
    /// Image file to explain, in place of a pack; it is squashed to the network's size
    #[arg(
        long,
        value_name = "FILE",
        requires = "overlay",
        conflicts_with_all = [
            "data", "output", "samples", "maps", "perturbations", "epsilon", "epsilon_unit",
            "dry_run",
        ]
    )]
    pub(crate) image: Option<PathBuf>,

    /// Pictures to write, maps laid over their images: a folder; with --image a file (PNG)
    #[arg(long, value_name = "DIR")]
    pub(crate) overlay: Option<PathBuf>,

    /// Samples of the pack that are drawn, such as 0,5,10-19 [default: its first 64]
    #[arg(
        long,
        value_name = "LIST",
        requires = "overlay",
        value_parser = |list: &str| list.parse::<Samples>()
    )]
    pub(crate) samples: Option<Samples>,

    /// Colours of the pictures' maps; jet is for comparison with others' [default: inferno]
    #[arg(
        long,
        value_name = "COLOURS",
        requires = "overlay",
        value_parser = PossibleValuesParser::new(Colours::NAMES)
            .try_map(|name| name.parse::<Colours>())
    )]
    pub(crate) colours: Option<Colours>,
}
