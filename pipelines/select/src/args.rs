//! The flags, and which of them say something to which strategy.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{
    Parser, ValueEnum,
    builder::{ArgPredicate, PossibleValuesParser, TypedValueParser},
};
use consistency::selection::Measure;
use models::Arch;

/// Choose the samples that are labelled for the next round of training
///
/// Without --previous the first ones are drawn at random, the same ones by every strategy;
/// with it, others are added to those that are labelled there.
#[derive(Debug, Parser)]
#[command(name = "select", version)]
pub(crate) struct Args {
    /// How to choose
    #[arg(long, value_enum)]
    pub(crate) strategy: Strategy,

    /// Pack of the images
    #[arg(long, value_name = "PACK")]
    pub(crate) data: PathBuf,

    /// Weights of the last round, whose selected samples are labelled, but for those with a
    /// pseudo label
    #[arg(long, value_name = "FILE")]
    pub(crate) previous: Option<PathBuf>,

    /// Share of the pack that is labelled at first (without --previous; not all)
    #[arg(
        long,
        value_name = "SHARE",
        conflicts_with = "previous",
        default_value = "0.3",
        default_value_ifs = [
            ("previous", ArgPredicate::IsPresent, None::<&str>),
            ("strategy", ArgPredicate::Equals("all".into()), None),
        ],
        value_parser = share
    )]
    pub(crate) initial: Option<f64>,

    /// Share of the pack that is added (with --previous; not all) [default: 0.1]
    #[arg(
        long,
        value_name = "SHARE",
        requires = "previous",
        default_value_ifs = [
            ("strategy", ArgPredicate::Equals("all".into()), None::<&str>),
            ("previous", ArgPredicate::IsPresent, Some("0.1")),
        ],
        value_parser = share
    )]
    pub(crate) share: Option<f64>,

    /// Table of scores, of `audit --unlabelled` (consistency)
    #[arg(long, value_name = "FILE", requires = "previous")]
    pub(crate) scores: Option<PathBuf>,

    /// Model that judges the images (uncertainty, ceal, coreset)
    #[arg(long, value_name = "FILE", requires = "previous")]
    pub(crate) model: Option<PathBuf>,

    /// Network in a model file that does not say it, such as torchvision's
    #[arg(long, value_name = "NAME", requires = "model")]
    pub(crate) arch: Option<Arch>,

    /// What is uncertain: entropy, margin or least-confidence (uncertainty, ceal)
    /// [default: entropy]
    #[arg(
        long,
        value_name = "MEASURE",
        requires = "previous",
        default_value_ifs = [
            ("strategy", "uncertainty", Some("entropy")),
            ("strategy", "ceal", Some("entropy")),
        ],
        value_parser = PossibleValuesParser::new(["entropy", "margin", "least-confidence"])
            .try_map(|measure| measure.parse::<Measure>())
    )]
    pub(crate) measure: Option<Measure>,

    /// Entropy below which a prediction is taken for the label in round 1 (ceal)
    /// [default: 0.05]
    #[arg(
        long,
        value_name = "DELTA",
        requires = "previous",
        default_value_if("strategy", "ceal", "0.05"),
        value_parser = at_least_0
    )]
    pub(crate) delta: Option<f64>,

    /// How much --delta falls from round to round, to 0 at most (ceal) [default: 0.0033]
    #[arg(
        long,
        value_name = "DECAY",
        requires = "previous",
        default_value_if("strategy", "ceal", "0.0033"),
        value_parser = at_least_0
    )]
    pub(crate) delta_decay: Option<f64>,

    /// The round of training to come, from 2 on (ceal)
    #[arg(
        long,
        value_name = "ROUND",
        requires = "previous",
        value_parser = clap::value_parser!(u32).range(2..)
    )]
    pub(crate) round: Option<u32>,

    /// Images at a time; the result does not depend on it
    #[arg(long, value_name = "AT_A_TIME", default_value = "64")]
    pub(crate) batch_size: NonZeroUsize,

    /// Table of weights to write (Parquet)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) common: stage::Common,
}

/// How to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    /// Any samples
    Random,
    /// Every sample
    All,
    /// Those whose prediction is least certain (active learning)
    Uncertainty,
    /// Those too, and the predictions of the most certain ones in place of labels (CEAL)
    Ceal,
    /// Those that are farthest from all labelled ones (core-set)
    Coreset,
    /// Those whose explanation is least consistent
    Consistency,
}

impl Strategy {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
    }
}

impl Args {
    /// What is wrong with the flags, beyond what each says of itself.
    ///
    /// A default is there for such strategies only that use it, so that what is present
    /// elsewhere was given.
    pub(crate) fn mistake(&self) -> Option<String> {
        use Strategy::{All, Ceal, Consistency, Coreset, Uncertainty};
        let is = |strategies: &[Strategy]| strategies.contains(&self.strategy);
        let flags = [
            ("--initial", self.initial.is_some(), !is(&[All]), false),
            ("--share", self.share.is_some(), !is(&[All]), false),
            ("--scores", self.scores.is_some(), is(&[Consistency]), true),
            ("--model", self.model.is_some(), is(&[Uncertainty, Ceal, Coreset]), true),
            ("--measure", self.measure.is_some(), is(&[Uncertainty, Ceal]), false),
            ("--delta", self.delta.is_some(), is(&[Ceal]), false),
            ("--delta-decay", self.delta_decay.is_some(), is(&[Ceal]), false),
            ("--round", self.round.is_some(), is(&[Ceal]), true),
        ];
        let strategy = self.strategy.name();
        flags.into_iter().find_map(|(flag, present, means, needed)| {
            if present && !means {
                return Some(format!("{flag} says nothing to --strategy {strategy}"));
            }
            let lacks = needed && means && !present && self.previous.is_some();
            lacks.then(|| format!("--strategy {strategy} with --previous needs {flag}"))
        })
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a number above 0 and at most 1".to_owned()),
    }
}

fn at_least_0(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("expected a number that is finite and at least 0".to_owned()),
    }
}
