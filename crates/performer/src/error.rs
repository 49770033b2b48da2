use std::path::PathBuf;

use artifact::LabelKind;

/// What may keep a model file and a pack from working together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Artifact(#[from] artifact::Error),

    /// The model file does not say what network it holds.
    #[error(
        "{path}: expected the metadata key `model`, found none: \
         name the network of a plain torchvision file by --arch"
    )]
    NoArch {
        /// The model file.
        path: PathBuf,
    },

    /// The model file does not say what it tells apart, and there is no pack that would.
    #[error(
        "{path}: expected the metadata key `model` with classes and image size, found none: \
         explain images of a pack instead, by --data PACK --arch NAME"
    )]
    NoMeta {
        /// The model file.
        path: PathBuf,
    },

    /// The model file holds another network than was asked for.
    #[error("{path}: expected {expected} (by --arch), found {found}")]
    Arch {
        /// The model file.
        path: PathBuf,
        /// What `--arch` says.
        expected: String,
        /// What the file says.
        found: String,
    },

    /// No network of that name is known, or the file's tensors are not its.
    #[error("{path} holds no such network")]
    Network {
        /// The model file.
        path: PathBuf,
        /// What `models` has against it.
        source: models::Error,
    },

    /// The model does not tell apart the classes of the pack.
    #[error(
        "{model} and {pack} differ in their classes: expected {expected}, found {found}"
    )]
    Classes {
        /// The model file.
        model: PathBuf,
        /// The pack.
        pack: PathBuf,
        /// The model's classes, as far as they matter.
        expected: String,
        /// The pack's.
        found: String,
    },

    /// The model predicts one class an image and the pack has sets of them, or the reverse.
    #[error(
        "{model} and {pack} differ in their labels: expected {expected}, found {found}"
    )]
    Labels {
        /// The model file.
        model: PathBuf,
        /// The pack.
        pack: PathBuf,
        /// What the model predicts.
        expected: LabelKind,
        /// What the pack has.
        found: LabelKind,
    },

    /// The model is of images of another size.
    #[error(
        "{model} and {pack} differ in their image size: \
         expected {}x{}, found {}x{}", expected[0], expected[1], found[0], found[1]
    )]
    ImageSize {
        /// The model file.
        model: PathBuf,
        /// The pack.
        pack: PathBuf,
        /// The model's height and width.
        expected: [usize; 2],
        /// The pack's.
        found: [usize; 2],
    },
}

/// The result of a function of this crate.
pub type Result<T> = std::result::Result<T, Error>;
