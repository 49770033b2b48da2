use std::{io, path::PathBuf};

/// What can be wrong with a file between two stages: which file, what was expected, what
/// was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened, read, written or put in place.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is truncated or of another format.
    #[error(
        "{}: expected a whole {expected} file, found {found}; \
         check the path, or make the file again",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it should have.
        expected: &'static str,
        /// What it looks like instead.
        found: String,
    },
    /// The metadata lack a key, or its value is not what it should be.
    #[error(
        "{}: expected metadata key `{key}` with {expected}, found {found}; \
         check that this is the right kind of file",
        path.display()
    )]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The value it should have.
        expected: String,
        /// The value it has.
        found: String,
    },
    /// A tensor is absent, or of another type or shape.
    #[error(
        "{}: expected tensor `{name}` of {expected}, found {found}; \
         check that this is the right kind of file",
        path.display()
    )]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Type and shape it should have.
        expected: String,
        /// Type and shape it has.
        found: String,
    },
    /// A table lacks columns, or they are of other types.
    #[error(
        "{}: expected a table of {table} with columns {expected}, found columns {found}; \
         check that this is the right kind of file",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// The kind of table asked for.
        table: &'static str,
        /// Columns it should have.
        expected: String,
        /// Columns it has.
        found: String,
    },
    /// The file has the right form, but a value in it makes no sense.
    #[error("{}: expected {expected}, found {found}; correct or remake the file", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What every value must be.
        expected: String,
        /// The first one which is not, and where.
        found: String,
    },
    /// The file is well formed but has nothing in it.
    #[error(
        "{} holds no {things}: expected at least one, found 0; give a file that has some",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        things: &'static str,
    },
    /// Two files do not belong together.
    #[error(
        "{} and {} do not belong together: the first was made from {role} {expected}, \
         the second {found}; give files of one run",
        a.display(), b.display(), expected = short(expected), found = short(found)
    )]
    Disagreement {
        /// What they disagree on, such as `data` or `model`.
        role: String,
        /// The one file.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// The digest that `a` records.
        expected: String,
        /// The digest that `b` records, or has.
        found: String,
    },
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The first twelve digits, enough to tell two digests apart.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
