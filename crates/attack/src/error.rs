/// What may go wrong in an attack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network did not compute.
    #[error(transparent)]
    Network(#[from] models::Error),

    /// A tensor did not compute.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),

    /// There is not one label an image.
    #[error("expected the labels of {expected} images, found those of {found}")]
    Labels {
        /// Number of images.
        expected: usize,
        /// Number of labelled images.
        found: usize,
    },

    /// The labels are sets of other classes than the network's.
    #[error("expected labels of {expected} classes, found {found}")]
    Classes {
        /// The network's number of classes.
        expected: usize,
        /// The labels'.
        found: usize,
    },

    /// A label is not a class.
    #[error(
        "image {position} of the batch: expected a label below {expected}, found {found}"
    )]
    Label {
        /// Which image.
        position: usize,
        /// Number of classes.
        expected: usize,
        /// The label.
        found: i64,
    },

    /// The loss has no direction at this image.
    #[error("image {position} of the batch: expected a finite gradient, found {found}")]
    NotFinite {
        /// Which image.
        position: usize,
        /// The first component that is not finite.
        found: f32,
    },
}

/// The result of a function of this crate.
pub type Result<T> = std::result::Result<T, Error>;
