use std::{f64::consts::FRAC_2_PI, fmt, str::FromStr};

use crate::UnknownName;

/// The mapping ψ of Eq. (3), from the non-negative numbers into \[0, 1\], increasing.
///
/// The paper takes tanh and compares the other two in Table V; all three have ψ(0) = 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Psi {
    /// `tanh(x)`, the paper's choice.
    #[default]
    Tanh,
    /// `x / (1 + |x|)`, of Table V.
    Softsign,
    /// `2·atan(x) / π`, `arctan1` of Table V.
    Arctan,
}

impl Psi {
    /// All of them, in the order of their names' appearance in the messages.
    pub const ALL: [Self; 3] = [Self::Tanh, Self::Softsign, Self::Arctan];

    /// ψ(x).
    ///
    /// # Examples
    ///
    /// ```
    /// use consistency::Psi;
    ///
    /// assert_eq!(Psi::Softsign.apply(3.0), 0.75);
    /// assert!((Psi::Arctan.apply(1.0) - 0.5).abs() < 1e-15); // atan(1) = π/4
    /// assert!((Psi::Tanh.apply(0.5 * 3f64.ln()) - 0.5).abs() < 1e-15); // (3 − 1)/(3 + 1)
    /// ```
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Tanh => x.tanh(),
            // x/(1 + |x|) would be ∞/∞ at infinity
            Self::Softsign if x.is_infinite() => x.signum(),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Arctan => FRAC_2_PI * x.atan(),
        }
    }
}

impl fmt::Display for Psi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tanh => "tanh",
            Self::Softsign => "softsign",
            Self::Arctan => "arctan",
        })
    }
}

impl FromStr for Psi {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|psi| psi.to_string() == name).ok_or_else(|| {
            UnknownName { expected: "tanh, softsign or arctan", found: name.to_owned() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_stays_zero_and_infinity_is_one() {
        for psi in Psi::ALL {
            assert_eq!(psi.apply(0.0), 0.0, "{psi}");
            assert_eq!(psi.apply(f64::INFINITY), 1.0, "{psi}");
        }
    }

    #[test]
    fn greater_distances_are_mapped_higher() {
        for psi in Psi::ALL {
            let values: Vec<f64> =
                (0..100).map(|i| psi.apply(f64::from(i) / 20.0)).collect();
            assert!(values.is_sorted_by(|a, b| a < b), "{psi}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for psi in Psi::ALL {
            assert_eq!(psi.to_string().parse(), Ok(psi));
        }
        let error = "sigmoid".parse::<Psi>().unwrap_err().to_string();
        assert_eq!(error, "expected tanh, softsign or arctan, found `sigmoid`");
    }
}
