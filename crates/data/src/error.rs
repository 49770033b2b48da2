use std::{io, path::PathBuf};

/// What can be wrong with a dataset in its original layout.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of the layout is not there.
    #[error("no {what}: looked for {}", path.display())]
    Missing {
        /// What it would have been.
        what: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there, but not as its owners describe it.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A class was asked for that the dataset does not have.
    #[error("unknown class `{name}`; known are {known}")]
    UnknownClass {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A class was asked for twice.
    #[error("class `{name}` is named twice")]
    RepeatedClass {
        /// The name.
        name: String,
    },
    /// A class has no image at all.
    #[error("class `{name}` has no images in {place}")]
    EmptyClass {
        /// The class.
        name: String,
        /// The sets or the folder that were looked through.
        place: String,
    },
    /// There is nothing to prepare.
    #[error("no images in {place}")]
    NoImages {
        /// The list, folder or set that is empty.
        place: String,
    },
    /// Images to be tested on would be trained on.
    #[error("{count} images are in both `{train}` and `{test}`, `{first}` is one")]
    Overlap {
        /// The set to train on.
        train: String,
        /// The set to test on.
        test: String,
        /// How many are shared.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// A share of a split comes to none or all of it.
    #[error(
        "a share of {fraction} takes {taken} of {of} images: nothing would be left on one side"
    )]
    Share {
        /// The share asked for.
        fraction: f64,
        /// The images it comes to.
        taken: usize,
        /// The images there are.
        of: usize,
    },
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An image or mask that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub reason: String,
}
