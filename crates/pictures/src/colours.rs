use std::str::FromStr;

/// The colours of a map's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colours {
    /// Black over red to pale yellow, in perceptually even steps: what looks twice as far is so.
    #[default]
    Inferno,
    /// Blue over green to red, for comparison with figures of others; its steps are uneven,
    /// and show edges where the map has none.
    Jet,
}

impl Colours {
    /// The names of all, for [`str::parse`].
    pub const NAMES: [&str; 2] = ["inferno", "jet"];

    /// The colour of a value in \[0, 1\]; what lies outside has that of the nearer end, and what
    /// is not a number that of 0.
    ///
    /// Jet is piecewise linear, each channel a trapezium:
    ///
    /// ```text
    /// r = min(4v − 1.5, 4.5 − 4v)   g = min(4v − 0.5, 3.5 − 4v)   b = min(4v + 0.5, 2.5 − 4v)
    /// ```
    ///
    /// clamped to \[0, 1\].
    ///
    /// # Examples
    ///
    /// ```
    /// use pictures::Colours;
    ///
    /// assert_eq!(Colours::Jet.rgb(0.5), [128, 255, 128]);
    /// assert_eq!(Colours::Inferno.rgb(0.0), [0, 0, 4]);
    /// ```
    pub fn rgb(self, value: f32) -> [u8; 3] {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        match self {
            Self::Inferno => {
                let colour = colorous::INFERNO.eval_continuous(f64::from(value));
                [colour.r, colour.g, colour.b]
            }
            Self::Jet => {
                let channel = |centre: f32| {
                    let level = 1.5 - (4.0 * value - centre).abs();
                    (255.0 * level.clamp(0.0, 1.0)).round() as u8
                };
                [channel(3.0), channel(2.0), channel(1.0)]
            }
        }
    }
}

/// A name that is not one of [`Colours::NAMES`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}, found {found}", Colours::NAMES.join(", "))]
pub struct UnknownColours {
    /// The name.
    pub found: String,
}

impl FromStr for Colours {
    type Err = UnknownColours;

    fn from_str(name: &str) -> Result<Self, UnknownColours> {
        match name {
            "inferno" => Ok(Self::Inferno),
            "jet" => Ok(Self::Jet),
            _ => Err(UnknownColours { found: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First, last and two colours between of matplotlib's `inferno`, whose last is
    /// `#fcffa4`; between its 256 colours colorous rounds by itself.
    #[test]
    fn inferno_is_matplotlibs() {
        let near = |value, expected: [u8; 3]| {
            let found = Colours::Inferno.rgb(value);
            assert!(
                found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1),
                "{found:?}"
            );
        };
        near(0.0, [0, 0, 4]);
        near(0.5, [188, 55, 84]);
        near(1.0, [252, 255, 164]);
    }

    #[test]
    fn jet_is_blue_cyan_yellow_red() {
        let jet = |value| Colours::Jet.rgb(value);
        assert_eq!(jet(0.0), [0, 0, 128]);
        assert_eq!(jet(0.125), [0, 0, 255]);
        assert_eq!(jet(0.375), [0, 255, 255]);
        assert_eq!(jet(0.625), [255, 255, 0]);
        assert_eq!(jet(0.875), [255, 0, 0]);
        assert_eq!(jet(1.0), [128, 0, 0]);
    }

    #[test]
    fn values_outside_have_the_colour_of_the_nearer_end() {
        for colours in [Colours::Inferno, Colours::Jet] {
            assert_eq!(colours.rgb(-1.0), colours.rgb(0.0));
            assert_eq!(colours.rgb(2.0), colours.rgb(1.0));
            assert_eq!(colours.rgb(f32::NAN), colours.rgb(0.0));
        }
    }

    #[test]
    fn each_name_is_one_of_them() {
        for name in Colours::NAMES {
            assert!(name.parse::<Colours>().is_ok(), "{name}");
        }
        let unknown = "hot".parse::<Colours>().unwrap_err().to_string();
        assert_eq!(unknown, "expected one of inferno, jet, found hot");
    }
}
