use std::{num::NonZeroUsize, path::PathBuf};

use attack::{EpsilonUnit, Masking};
use clap::{
    Parser, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use consistency::{Psi, Reduction};
use explain::Smooth;
use models::Arch;

/// Attack, explain and score in one: how far each image's explanation moves
///
/// The table's rows are those of attack, explain and score one after the other, bit for bit.
/// Only the correctly predicted images are attacked: where attack stops at any image whose
/// gradient is not finite, this does at a correctly predicted one.
#[derive(Debug, Parser)]
#[command(name = "audit", version)]
pub(crate) struct Args {
    /// Pack of the images
    #[arg(long, value_name = "PACK")]
    pub(crate) data: PathBuf,

    /// Model to audit
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// Network in a model file that does not say it, such as torchvision's
    #[arg(long, value_name = "NAME")]
    pub(crate) arch: Option<Arch>,

    /// Weights whose samples that are not selected, or have a pseudo label, count as unlabelled:
    /// what the model predicts of them is taken for their label, so that all of them are
    /// attacked and compared
    #[arg(long, value_name = "FILE")]
    pub(crate) unlabelled: Option<PathBuf>,

    /// Method of explanation
    #[arg(
        long,
        value_name = "NAME",
        default_value = "grad-cam",
        value_parser = PossibleValuesParser::new(explain::METHODS.map(|(name, _)| name))
    )]
    pub(crate) explainer: String,

    /// Layer whose output is explained; by default the network's last one with places
    #[arg(long, value_name = "NAME")]
    pub(crate) tap: Option<String>,

    /// Mean over mirrored, darker and brighter copies of the image, or first principal
    /// component of the channels
    #[arg(
        long,
        value_name = "HOW",
        value_parser = PossibleValuesParser::new(Smooth::NAMES)
            .try_map(|how| how.parse::<Smooth>())
    )]
    pub(crate) smooth: Option<Smooth>,

    /// Class that is explained: predicted, label (of a set the one of the highest confidence),
    /// or a class's name
    #[arg(long, value_name = "CLASS", default_value = "predicted")]
    pub(crate) target: String,

    /// How far each pixel is pushed, ε of Eq. (7)
    #[arg(
        long,
        value_name = "E",
        required_unless_present = "masking",
        conflicts_with = "masking",
        value_parser = epsilon
    )]
    pub(crate) epsilon: Option<f64>,

    /// What ε is measured in: pixels in [0, 1], or the network's normalised input
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "pixel",
        value_parser = PossibleValuesParser::new(["pixel", "normalized"])
            .try_map(|unit| unit.parse::<EpsilonUnit>())
    )]
    pub(crate) epsilon_unit: EpsilonUnit,

    /// Ablation: mask what the map calls unimportant, with black or with the image's mean
    /// colour, in place of the attack
    #[arg(long, value_name = "COLOUR", value_enum)]
    pub(crate) masking: Option<MaskingName>,

    /// Ablation: disturb the whole image, what the map calls important too
    #[arg(long)]
    pub(crate) everywhere: bool,

    /// From a distance to [0, 1], ψ of Eq. (3): tanh, softsign or arctan
    #[arg(long, value_name = "PSI", default_value_t)]
    pub(crate) psi: Psi,

    /// Where the norm of Eq. (3) is taken: grid (sum over the map as it is made), sum or
    /// mean (over the image's pixels)
    #[arg(long, value_name = "REDUCTION", default_value_t)]
    pub(crate) reduction: Reduction,

    /// Images at a time; the result does not depend on it
    #[arg(long, value_name = "AT_A_TIME", default_value = "64")]
    pub(crate) batch_size: NonZeroUsize,

    /// Table of scores to write (Parquet)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) common: stage::Common,
}

/// A colour of masking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MaskingName {
    /// Black
    Zero,
    /// The image's mean, channel by channel
    Mean,
}

impl From<MaskingName> for Masking {
    fn from(name: MaskingName) -> Self {
        match name {
            MaskingName::Zero => Self::Zero,
            MaskingName::Mean => Self::Mean,
        }
    }
}

fn epsilon(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(epsilon) if epsilon.is_finite() && epsilon >= 0.0 => Ok(epsilon),
        _ => Err("expected a number that is finite and at least 0".to_owned()),
    }
}
