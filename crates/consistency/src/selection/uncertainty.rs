use std::{fmt, str::FromStr};

use ops::softmax;

use crate::UnknownName;

/// How uncertain a prediction is, by the measures of active learning (Settles 2009, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Entropy of all classes.
    #[default]
    Entropy,
    /// How little the likeliest class is ahead of the second.
    Margin,
    /// What the likeliest class lacks to 1.
    LeastConfidence,
}

impl Measure {
    /// All of them, in the order of their names' appearance in the messages.
    pub const ALL: [Self; 3] = [Self::Entropy, Self::Margin, Self::LeastConfidence];

    /// The uncertainty of one image's logits; greater is less certain.
    ///
    /// With p = softmax(z), p₁ and p₂ its two greatest:
    ///
    /// ```text
    /// entropy:            −Σ p_k ln p_k
    /// margin:             1 − (p₁ − p₂)
    /// least confidence:   1 − p₁
    /// ```
    ///
    /// Nothing is subtracted from 1 in fact, so that certain predictions can still be told
    /// apart. Logits that are not numbers give none.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[K]`
    ///
    /// # Panics
    ///
    /// If there are no logits.
    ///
    /// # Examples
    ///
    /// ```
    /// use consistency::selection::Measure;
    ///
    /// let logits = [3f32.ln(), 0.0]; // p = 3/4, 1/4
    /// assert!((Measure::Margin.of(&logits) - 0.5).abs() < 1e-6);
    /// assert!((Measure::LeastConfidence.of(&logits) - 0.25).abs() < 1e-6);
    /// assert_eq!(Measure::Entropy.of(&[7.0, 7.0]), 2f32.ln());
    /// ```
    pub fn of(self, logits: &[f32]) -> f32 {
        if self == Self::Entropy {
            return softmax::entropy(logits);
        }
        let mut z: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        z.sort_by(|a, b| b.total_cmp(a));
        // p₁ = 1 / (1 + others), p₂ = second / (1 + others)
        let share = |z_k: &f64| (z_k - z[0]).exp();
        let others: f64 = z[1..].iter().map(share).sum();
        let ahead = match self {
            Self::Margin => z.get(1).map_or(0.0, share),
            _ => 0.0,
        };
        ((others + ahead) / (1.0 + others)) as f32
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Entropy => "entropy",
            Self::Margin => "margin",
            Self::LeastConfidence => "least-confidence",
        })
    }
}

impl FromStr for Measure {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|measure| measure.to_string() == name).ok_or_else(|| {
            UnknownName {
                expected: "entropy, margin or least-confidence",
                found: name.to_owned(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // exp: 1, 5, 2; p = 1/8, 5/8, 2/8
        let z = [0.0, 5f32.ln(), 2f32.ln()];
        let found = Measure::ALL.map(|measure| measure.of(&z));
        // 1/8 ln 8 + 5/8 ln 8/5 + 1/4 ln 4;  1 − 3/8;  1 − 5/8
        for (found, expected) in found.iter().zip([0.900_256, 0.625, 0.375]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn equal_chances_are_the_least_certain() {
        assert_eq!(Measure::Margin.of(&[3.0; 4]), 1.0);
        assert_eq!(Measure::LeastConfidence.of(&[3.0; 4]), 0.75);
        // two classes that hold all between them have no margin either
        assert_eq!(Measure::Margin.of(&[1e4, 1e4, 0.0]), 1.0);
        assert_eq!(Measure::LeastConfidence.of(&[1e4, 1e4, 0.0]), 0.5);
    }

    #[test]
    fn certain_predictions_are_told_apart() {
        for measure in Measure::ALL {
            let of = |z: f32| measure.of(&[z, 0.0]);
            assert!(of(40.0) > of(50.0) && of(50.0) > 0.0, "{measure}");
            assert_eq!(measure.of(&[5.0]), 0.0, "{measure}");
        }
    }

    #[test]
    fn what_is_no_number_stays_visible() {
        for measure in Measure::ALL {
            for z in [[f32::NAN, 0.0, 1.0], [0.0, -f32::NAN, 1.0]] {
                assert!(measure.of(&z).is_nan(), "{measure}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for measure in Measure::ALL {
            assert_eq!(measure.to_string().parse(), Ok(measure));
        }
        assert!("variance".parse::<Measure>().is_err());
    }
}
