use std::fmt;

use crate::Arch;

/// What can be wrong with a request for a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No architecture has this name.
    #[error("no architecture `{found}`: expected one of {expected}")]
    UnknownArch {
        /// The name asked for.
        found: String,
        /// The names there are.
        expected: String,
    },
    /// The network cannot be split there.
    #[error("{arch} has no tap `{found}`: expected one of {expected}")]
    UnknownTap {
        /// The network.
        arch: Arch,
        /// The name asked for.
        found: String,
        /// The names there are.
        expected: String,
    },
    /// The checkpoint does not fit the network.
    #[error("not a checkpoint of {arch} with {classes} classes: {keys}")]
    Keys {
        /// The network.
        arch: Arch,
        /// Width of its classifier.
        classes: usize,
        /// What does not fit.
        keys: Keys,
    },
    /// A network needs something to choose from.
    #[error("{arch} with 0 classes: expected 1 or more")]
    NoClasses {
        /// The network.
        arch: Arch,
    },
    /// Parameters are to be taken over from a network of another shape.
    #[error(
        "expected a network like {} with {} classes, found {} with {}",
        expected.0, expected.1, found.0, found.1
    )]
    OtherShape {
        /// Architecture and number of classes.
        expected: (Arch, usize),
        /// The other network's.
        found: (Arch, usize),
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The keys by which a checkpoint and a network differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The network has them, the checkpoint lacks them; the network's names.
    pub unfilled: Vec<String>,
    /// The checkpoint has them, the network lacks them; the checkpoint's names.
    pub unused: Vec<String>,
    /// Both have them, in another shape or type: name, expected and found.
    pub wrong: Vec<String>,
}

impl Keys {
    /// Do checkpoint and network agree?
    pub fn is_empty(&self) -> bool {
        self.unfilled.is_empty() && self.unused.is_empty() && self.wrong.is_empty()
    }
}

/// Keys of each sort that a message shows.
const SHOWN: usize = 10;

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorts = [
            ("unfilled", &self.unfilled),
            ("unused", &self.unused),
            ("wrong shape", &self.wrong),
        ];
        let mut separator = "";
        for (sort, keys) in sorts.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            let shown = keys[..keys.len().min(SHOWN)].join(", ");
            write!(f, "{separator}{sort}: {shown}")?;
            if keys.len() > SHOWN {
                write!(f, " and {} more ({} in all)", keys.len() - SHOWN, keys.len())?;
            }
            separator = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let unfilled = (0..12).map(|i| format!("k{i}")).collect();
        let keys = Keys { unfilled, unused: vec!["extra".to_owned()], ..Keys::default() };
        assert_eq!(
            keys.to_string(),
            "unfilled: k0, k1, k2, k3, k4, k5, k6, k7, k8, k9 and 2 more (12 in all); \
             unused: extra"
        );
    }
}
