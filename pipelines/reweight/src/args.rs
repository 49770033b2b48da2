use std::path::PathBuf;

use anyhow::ensure;
use clap::{Parser, ValueEnum};

/// The methods that weigh by scores.
const SCORED: [&str; 8] = [
    "consistency",
    "hard-negative",
    "focal",
    "equalized-focal",
    "flip",
    "distance",
    "shuffled",
    "level",
];

/// Write the sample weights of the next round of training
#[derive(Debug, Parser)]
#[command(name = "reweight", version)]
pub(crate) struct Args {
    /// How to weigh
    #[arg(long, value_enum)]
    pub(crate) method: Method,

    /// Pack of the images, all to weigh 1 (uniform)
    #[arg(
        long,
        value_name = "PACK",
        required_if_eq("method", "uniform"),
        conflicts_with_all = ["scores", "previous", "floor"]
    )]
    pub(crate) data: Option<PathBuf>,

    /// Table of scores, of `score` or `audit` (all methods but uniform)
    #[arg(long, value_name = "FILE", required_if_eq_any = SCORED.map(|name| ("method", name)))]
    pub(crate) scores: Option<PathBuf>,

    /// Weights of the last round, from which `selected` is carried over
    #[arg(long, value_name = "FILE")]
    pub(crate) previous: Option<PathBuf>,

    /// Weights are FLOOR + (1 - FLOOR) v, with v of the method; the paper has 0
    #[arg(long, value_name = "FLOOR", default_value_t = 0.0, value_parser = floor)]
    pub(crate) floor: f32,

    /// Share of the samples that hard-negative lets weigh 1 [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = fraction)]
    pub(crate) fraction: Option<f64>,

    /// Exponent of focal and equalized-focal [default: 2]
    #[arg(long, value_name = "GAMMA", value_parser = gamma)]
    pub(crate) gamma: Option<f64>,

    /// Table of weights to write (Parquet)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) common: stage::Common,
}

/// How to weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Every sample weighs 1
    Uniform,
    /// v = 1 - E, the paper's Eq. (4)
    Consistency,
    /// The samples of the highest losses weigh 1, the others 0 (Shrivastava et al., 2016)
    HardNegative,
    /// v = (1 - p)^gamma, p the probability of the label (Lin et al., 2017)
    Focal,
    /// The same with a gamma for each class (Li et al., 2022)
    EqualizedFocal,
    /// Ablation: v = 1 where the perturbation changes the prediction, else 0
    Flip,
    /// Ablation: v = D of Eq. (3), whether the prediction changes or not
    Distance,
    /// Control: the weights of consistency, shuffled among the correctly predicted samples
    Shuffled,
    /// Control: the weights of consistency, those of the samples whose prediction is right and
    /// stays replaced by their mean
    Level,
}

impl Method {
    /// Whether it needs to know how the explanations moved.
    pub(crate) fn compares(self) -> bool {
        use Method::{Consistency, Distance, Flip, Level, Shuffled};
        matches!(self, Consistency | Flip | Distance | Shuffled | Level)
    }
}

impl Args {
    /// Fails over a flag that the method has no use for.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        use Method::{EqualizedFocal, Focal, HardNegative};
        let method = self.method;
        let name = method.to_possible_value().expect("no method is hidden");
        let name = name.get_name();
        let given = [
            ("--fraction", self.fraction.is_some(), method == HardNegative),
            ("--gamma", self.gamma.is_some(), matches!(method, Focal | EqualizedFocal)),
        ];
        for (flag, given, useful) in given {
            ensure!(useful || !given, "{flag} says nothing to --method {name}");
        }
        Ok(())
    }
}

fn number(text: &str, fits: impl Fn(f64) -> bool, what: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if fits(number) => Ok(number),
        _ => Err(format!("expected {what}")),
    }
}

fn floor(text: &str) -> Result<f32, String> {
    number(text, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")
        .map(|x| x as f32)
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x <= 1.0, "a number above 0, at most 1")
}

fn gamma(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x.is_finite(), "a number above 0")
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
    fn all_methods_but_uniform_weigh_by_scores() {
        let names = Method::value_variants().iter().map(|method| {
            method.to_possible_value().expect("no method is hidden").get_name().to_owned()
        });
        assert_eq!(names.skip(1).collect::<Vec<_>>(), SCORED);
    }
}
