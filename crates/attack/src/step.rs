use std::{fmt, str::FromStr};

/// In what an ε is measured, which the paper leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EpsilonUnit {
    /// In pixels, which are in \[0, 1\]: the same ε in every channel.
    #[default]
    Pixel,
    /// In the network's normalised input: ε·std of each channel in pixels.
    Normalized,
}

impl fmt::Display for EpsilonUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pixel => "pixel",
            Self::Normalized => "normalized",
        })
    }
}

/// A name that is no unit of ε.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected pixel or normalized, found `{found}`")]
pub struct UnknownUnit {
    /// What was given.
    pub found: String,
}

impl FromStr for EpsilonUnit {
    type Err = UnknownUnit;

    fn from_str(name: &str) -> Result<Self, UnknownUnit> {
        match name {
            "pixel" => Ok(Self::Pixel),
            "normalized" => Ok(Self::Normalized),
            _ => Err(UnknownUnit { found: name.to_owned() }),
        }
    }
}

/// The step of Eq. (7) in pixels, per channel.
///
/// ```text
/// pixel:       ε_c = ε
/// normalized:  ε_c = ε · std_c
/// ```
///
/// # Examples
///
/// ```
/// use attack::{EpsilonUnit, step};
///
/// let std = [0.25, 0.5, 1.0];
/// assert_eq!(step(0.5, EpsilonUnit::Pixel, std), [0.5, 0.5, 0.5]);
/// assert_eq!(step(0.5, EpsilonUnit::Normalized, std), [0.125, 0.25, 0.5]);
/// ```
pub fn step(epsilon: f32, unit: EpsilonUnit, std: [f32; 3]) -> [f32; 3] {
    match unit {
        EpsilonUnit::Pixel => [epsilon; 3],
        EpsilonUnit::Normalized => std.map(|std| epsilon * std),
    }
}
