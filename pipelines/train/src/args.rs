use std::path::PathBuf;

use clap::{Args as Group, Parser, ValueEnum};
use data::Augment;
use models::{Arch, Normalization};

const ARCHITECTURES: &str =
    "Architecture: vgg16, vgg16_bn, resnet18, resnet34, resnet50, mobilenet_v2, resnet20";

/// Train a network for a round of epochs on a weighted pack
///
/// Writes model.safetensors, optimizer.safetensors and training.parquet. Training goes on
/// where the round before stopped: T rounds of E epochs are one of T·E.
#[derive(Debug, Parser)]
#[command(name = "train", version)]
pub(crate) struct Args {
    /// Pack of the training images
    #[arg(long, value_name = "PACK")]
    pub(crate) data: PathBuf,

    /// Architecture, by torchvision's name
    #[arg(long, value_name = "NAME", help = ARCHITECTURES)]
    pub(crate) arch: Arch,

    /// Weights of the samples (Parquet); all 1 if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// Directory of the round before, whose model and optimiser go on
    #[arg(long, value_name = "DIR", conflicts_with = "init")]
    pub(crate) previous: Option<PathBuf>,

    /// Model file to start from, with a new optimiser
    #[arg(long, value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,

    /// Initialise the last layer anew, say because --init knows other classes
    #[arg(long, requires = "init")]
    pub(crate) fresh_head: bool,

    /// Epochs of this round
    #[arg(long, value_name = "E", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: u32,

    #[command(flatten)]
    pub(crate) recipe: Recipe,

    #[command(flatten)]
    pub(crate) augmentation: Augmentation,

    /// Mean of the channels, subtracted from pixels in [0, 1] [default: the model file's, or
    /// 0.485,0.456,0.406]
    #[arg(long, value_name = "R,G,B", value_parser = channels)]
    pub(crate) mean: Option<[f32; 3]>,

    /// Standard deviation of the channels, by which pixels are divided [default: the model
    /// file's, or 0.229,0.224,0.225]
    #[arg(long, value_name = "R,G,B", value_parser = deviations)]
    pub(crate) std: Option<[f32; 3]>,

    /// Go on after the last epoch of a run of the same command that was cut off
    #[arg(long)]
    pub(crate) resume: bool,

    /// Model file to write; the optimiser and the table of epochs go beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) common: stage::Common,
}

/// How the parameters are updated. The defaults are those of the paper, section IV-A.
#[derive(Clone, Debug, Group)]
pub(crate) struct Recipe {
    /// Images of a batch; the last one of an epoch may be smaller
    #[arg(long, value_name = "B", default_value_t = 100, value_parser = positive)]
    pub(crate) batch_size: usize,

    /// Rule of update
    #[arg(long, value_enum, default_value_t)]
    pub(crate) optimizer: Algorithm,

    /// Learning rate of the first epochs
    #[arg(long, value_name = "R", default_value_t = 1e-4, value_parser = not_negative)]
    pub(crate) learning_rate: f64,

    /// Momentum of SGD [default: 0.9]
    #[arg(long, value_name = "M", value_parser = below_one)]
    pub(crate) momentum: Option<f64>,

    /// L2 penalty, added to the gradient (not decoupled)
    #[arg(long, value_name = "D", default_value_t = 0.0, value_parser = not_negative)]
    pub(crate) weight_decay: f64,

    /// Epochs between decays of the learning rate, counted over all rounds; 0 is never
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) decay_every: u32,

    /// Factor of each decay
    #[arg(long, value_name = "F", default_value_t = 0.1, value_parser = not_negative)]
    pub(crate) decay_factor: f64,

    /// Loss L of a sample
    #[arg(long, value_enum, default_value_t)]
    pub(crate) loss: LossName,

    /// Exponent of the focal losses [default: 2]
    #[arg(long, value_name = "GAMMA", value_parser = above_zero)]
    pub(crate) gamma: Option<f64>,

    /// What the sum of v·L over a batch is divided by: its samples, or their weights v
    #[arg(long, value_enum, default_value_t)]
    pub(crate) normalize: Normalize,
}

impl Recipe {
    /// μ of SGD; other rules have none.
    pub(crate) fn momentum(&self) -> f64 {
        self.momentum.unwrap_or(0.9)
    }
}

/// A rule of update.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(crate) enum Algorithm {
    /// Kingma and Ba 2014, with β = 0.9, 0.999 and ε = 1e-8
    #[default]
    Adam,
    /// Stochastic gradient descent with momentum
    Sgd,
}

impl Algorithm {
    /// Its name in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Sgd => "sgd",
        }
    }
}

/// The loss of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(crate) enum LossName {
    /// Of its class; of a set of labels binary cross entropy, averaged over the classes
    #[default]
    CrossEntropy,
    /// Less of it the surer the network is (Lin et al., 2017)
    Focal,
    /// The same with an exponent for each class (Li et al., 2022)
    EqualizedFocal,
}

/// What a batch's sum of weighted losses is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(crate) enum Normalize {
    /// The number of samples
    #[default]
    Mean,
    /// The sum of their weights
    Weights,
}

/// How images are altered.
#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Augmentation")]
pub(crate) struct Augmentation {
    /// Mirror half of the images
    #[arg(long)]
    flip: bool,

    /// Pad by N black pixels and crop at random
    #[arg(long, value_name = "N")]
    crop_padding: Option<usize>,

    /// Cut out a share of at least MIN of the area at random and resize it
    #[arg(long, value_name = "MIN", value_parser = share)]
    resized_crop: Option<f32>,

    /// Change brightness, contrast and saturation by factors of up to 1 ± J
    #[arg(long, value_name = "J", value_parser = share)]
    jitter: Option<f32>,
}

impl Augmentation {
    pub(crate) fn augment(&self) -> Augment {
        Augment {
            flip: self.flip,
            crop: self.crop_padding,
            resized_crop: self.resized_crop.map(|least| (least, 1.0)),
            jitter: self.jitter,
        }
    }
}

impl Args {
    /// The first layer: the flags', else that of the model file that is continued, else
    /// `ImageNet`'s.
    pub(crate) fn normalization(&self, of_file: Option<Normalization>) -> Normalization {
        let default = of_file.unwrap_or(Normalization::IMAGENET);
        Normalization {
            mean: self.mean.unwrap_or(default.mean),
            std: self.std.unwrap_or(default.std),
        }
    }
}

fn number(text: &str, fits: impl Fn(f64) -> bool, what: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|_| format!("expected {what}"))?;
    if fits(number) { Ok(number) } else { Err(format!("expected {what}")) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |x| x >= 0.0 && x.is_finite(), "a number that is not negative")
}

fn above_zero(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x.is_finite(), "a number above 0")
}

fn below_one(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..1.0).contains(&x), "a number in [0, 1)")
}

fn share(text: &str) -> Result<f32, String> {
    number(text, |x| x > 0.0 && x <= 1.0, "a number in (0, 1]").map(|x| x as f32)
}

fn positive(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| "expected a positive number".into())
}

fn channels(text: &str) -> Result<[f32; 3], String> {
    let numbers: Option<Vec<f32>> = text
        .split(',')
        .map(|part| part.trim().parse().ok().filter(|x: &f32| x.is_finite()))
        .collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "expected three numbers, as 0.5,0.5,0.5".into())
}

fn deviations(text: &str) -> Result<[f32; 3], String> {
    let deviations = channels(text)?;
    if deviations.iter().all(|&x| x > 0.0) {
        Ok(deviations)
    } else {
        Err("a standard deviation is positive".into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn three_channels_are_read() {
        assert_eq!(channels("0.5, 0.25,0").unwrap(), [0.5, 0.25, 0.0]);
        assert!(channels("0.5,0.5").is_err());
        assert!(deviations("0.5,0.5,0").is_err());
    }
}
