use std::path::PathBuf;

use anyhow::ensure;
use artifact::LabelKind;
use clap::{Parser, ValueEnum, builder::ArgPredicate};
use data::{Bias, Fit, Geometry};

/// Turn a dataset in its original layout, or the built-in shapes, into packs
#[derive(Debug, Parser)]
#[command(name = "prepare", version)]
pub(crate) struct Args {
    /// Which layout --root has, or `shapes`, which needs no files
    #[arg(long, value_enum)]
    pub(crate) dataset: Name,

    /// The folder that holds the dataset
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Height and width of the images written [default: 96; shapes: 64]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) size: Option<u16>,

    /// Squash both sides to the size, or bring the shorter one to it and crop the centre [default:
    /// squash]
    #[arg(long, value_enum)]
    pub(crate) fit: Option<FitName>,

    /// Move this share of every class from train to validation.safetensors (of shapes, draw as many
    /// more)
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub(crate) validation: Option<f64>,

    /// Alter most of the training images, and no others, by half the standard deviation of their
    /// own values or by a factor of 1.5. The train pack's groups say which: 1 is altered (of
    /// shapes these replace the groups of backgrounds, which stay in the images)
    #[arg(long, value_enum)]
    pub(crate) bias: Option<BiasName>,

    /// Share of the training images to alter, drawn by the seed [default: 0.8]
    #[arg(
        long,
        value_name = "FRACTION",
        value_parser = fraction,
        requires = "bias",
        default_value_if("bias", ArgPredicate::IsPresent, "0.8")
    )]
    pub(crate) bias_share: Option<f64>,

    /// Leave out files that cannot be decoded, instead of failing
    #[arg(long)]
    pub(crate) skip_bad: bool,

    /// The folder to write train, test and validation packs and samples.parquet into
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    /// Classes to keep, in the order of their indices [default: all 20]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "voc")]
    pub(crate) classes: Vec<String>,

    /// Label an image with the class of the largest mask, or with all of them [default: largest]
    #[arg(long, value_enum, help_heading = "voc")]
    pub(crate) labels: Option<Labelling>,

    /// Image set to train on, such as trainaug [default: train]
    #[arg(long, value_name = "NAME", help_heading = "voc")]
    pub(crate) train_set: Option<String>,

    /// Image set to test on [default: val]
    #[arg(long, value_name = "NAME", help_heading = "voc")]
    pub(crate) test_set: Option<String>,

    /// Train on the images of this predefined fold, 0 to 9
    #[arg(long, value_name = "K", help_heading = "stl10")]
    pub(crate) fold: Option<usize>,

    /// Variant to test on, the name of a folder in the root [default: original]
    #[arg(long, value_name = "NAME", help_heading = "backgrounds")]
    pub(crate) variant: Option<String>,

    /// Masks: a tree of PNGs with the images' relative paths (folder), or a file of a byte matrix for
    /// each training image (stl10)
    #[arg(long, value_name = "FILE", help_heading = "folder and stl10")]
    pub(crate) masks: Option<PathBuf>,

    /// Grey levels (or palette indices) above this are foreground [default: 0]
    #[arg(long, value_name = "LEVEL", help_heading = "folder")]
    pub(crate) mask_threshold: Option<u8>,

    /// Share of every class to test on, where the root has no folders train and test
    #[arg(long, value_name = "FRACTION", value_parser = fraction, help_heading = "folder")]
    pub(crate) test_fraction: Option<f64>,

    /// Training images to draw [default: 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "shapes")]
    pub(crate) count: Option<u32>,

    /// Test images to draw [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "shapes")]
    pub(crate) test_count: Option<u32>,

    #[command(flatten)]
    pub(crate) common: stage::Common,
}

/// A dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Textured shapes on textured backgrounds that give them away, drawn here
    Shapes,
    /// PASCAL VOC 2012, segmentation
    Voc,
    /// STL-10, binary
    Stl10,
    /// Caltech-UCSD Birds-200-2011
    Cub,
    /// The backgrounds challenge (ImageNet-9)
    Backgrounds,
    /// One folder a class
    Folder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitName {
    Squash,
    Crop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BiasName {
    /// Add half a standard deviation
    Brighter,
    /// Take half a standard deviation off
    Darker,
    /// Multiply by 1.5
    Scaled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Labelling {
    Largest,
    Multi,
}

impl Args {
    /// Fails over a flag that says nothing to this dataset.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        use Name::{Backgrounds, Cub, Folder, Shapes, Stl10, Voc};
        let files = &[Voc, Stl10, Cub, Backgrounds, Folder][..];
        let given: [(&str, bool, &[Name]); 14] = [
            ("--root", self.root.is_some(), files),
            ("--fit", self.fit.is_some(), files),
            ("--skip-bad", self.skip_bad, files),
            ("--classes", !self.classes.is_empty(), &[Voc]),
            ("--labels", self.labels.is_some(), &[Voc]),
            ("--train-set", self.train_set.is_some(), &[Voc]),
            ("--test-set", self.test_set.is_some(), &[Voc]),
            ("--fold", self.fold.is_some(), &[Stl10]),
            ("--variant", self.variant.is_some(), &[Backgrounds]),
            ("--masks", self.masks.is_some(), &[Folder, Stl10]),
            ("--mask-threshold", self.mask_threshold.is_some(), &[Folder]),
            ("--test-fraction", self.test_fraction.is_some(), &[Folder]),
            ("--count", self.count.is_some(), &[Shapes]),
            ("--test-count", self.test_count.is_some(), &[Shapes]),
        ];
        for (flag, given, datasets) in given {
            ensure!(
                !given || datasets.contains(&self.dataset),
                "{flag} says nothing to --dataset {}",
                self.dataset
            );
        }
        ensure!(
            self.mask_threshold.is_none() || self.masks.is_some(),
            "--mask-threshold says nothing without --masks"
        );
        Ok(())
    }

    /// The square that images are brought to.
    pub(crate) fn geometry(&self) -> Geometry {
        let fit = match self.fit {
            None | Some(FitName::Squash) => Fit::Squash,
            Some(FitName::Crop) => Fit::Crop,
        };
        Geometry { size: usize::from(self.size.unwrap_or(96)), fit }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value().expect("no dataset is hidden");
        f.write_str(value.get_name())
    }
}

impl From<BiasName> for Bias {
    fn from(name: BiasName) -> Self {
        match name {
            BiasName::Brighter => Self::Brighter,
            BiasName::Darker => Self::Darker,
            BiasName::Scaled => Self::Scaled,
        }
    }
}

impl From<Labelling> for LabelKind {
    fn from(labelling: Labelling) -> Self {
        match labelling {
            Labelling::Largest => Self::Single,
            Labelling::Multi => Self::Multi,
        }
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("not a number between 0 and 1".to_owned()),
    }
}
