/// What may keep a prediction from being explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network did not compute.
    #[error(transparent)]
    Network(#[from] models::Error),

    /// A tensor did not compute.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),

    /// No method has this name.
    #[error("no explainer `{found}`: expected one of {expected}")]
    UnknownExplainer {
        /// The name asked for.
        found: String,
        /// The names there are.
        expected: String,
    },

    /// No class has this name.
    #[error(
        "no class `{found}` to explain: expected predicted, label or one of {expected}"
    )]
    UnknownClass {
        /// The name asked for.
        found: String,
        /// The classes there are.
        expected: String,
    },

    /// There is nothing of which a principal component could be taken.
    #[error(
        "{explainer} weighs no channels, of which eigen smoothing could take the principal \
         component: leave it out, or choose aug"
    )]
    NoChannels {
        /// The method's name.
        explainer: String,
    },

    /// The network has forgotten there where in the image it saw what.
    #[error(
        "no map can be made at tap `{tap}`: expected an activation [N, C, h, w], \
         found {found:?}; choose an earlier tap"
    )]
    NoPlaces {
        /// The tap's name.
        tap: String,
        /// The activation's shape.
        found: Vec<usize>,
    },

    /// There is not one target an image.
    #[error("expected the targets of {expected} images, found {found}")]
    Targets {
        /// Number of images.
        expected: usize,
        /// Number of targets.
        found: usize,
    },

    /// A target is not a class.
    #[error(
        "image {position} of the batch: expected a target below {expected}, found {found}"
    )]
    Target {
        /// Which image.
        position: usize,
        /// Number of classes.
        expected: usize,
        /// The target.
        found: i64,
    },
}

/// The result of a function of this crate.
pub type Result<T> = std::result::Result<T, Error>;
