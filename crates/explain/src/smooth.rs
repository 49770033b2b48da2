use std::{fmt, str::FromStr};

/// How maps are made smoother, as pytorch-grad-cam does.
///
/// # Examples
///
/// ```
/// use explain::Smooth;
///
/// assert_eq!("eigen".parse::<Smooth>()?, Smooth::Eigen);
/// let error = "more".parse::<Smooth>().unwrap_err().to_string();
/// assert_eq!(error, "expected aug or eigen, found `more`");
/// # Ok::<(), explain::UnknownSmooth>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smooth {
    /// `aug`: the mean over mirrored, darker and brighter copies of the image.
    Augmentation,
    /// `eigen`: the first principal component of the weighted channels, not their sum.
    Eigen,
}

impl Smooth {
    /// The names that are parsed.
    pub const NAMES: [&str; 2] = ["aug", "eigen"];
}

impl fmt::Display for Smooth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Augmentation => "aug",
            Self::Eigen => "eigen",
        })
    }
}

/// A name that is no way of smoothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected aug or eigen, found `{found}`")]
pub struct UnknownSmooth {
    /// What was given.
    pub found: String,
}

impl FromStr for Smooth {
    type Err = UnknownSmooth;

    fn from_str(name: &str) -> Result<Self, UnknownSmooth> {
        match name {
            "aug" => Ok(Self::Augmentation),
            "eigen" => Ok(Self::Eigen),
            _ => Err(UnknownSmooth { found: name.to_owned() }),
        }
    }
}
