//! Samples as a user lists them.

use std::{collections::BTreeSet, ops::RangeInclusive, str::FromStr};

use anyhow::ensure;
use artifact::Pack;

/// A list of samples, such as `0,5,10-19`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Samples(Vec<RangeInclusive<usize>>);

/// How many samples are drawn if nobody lists any.
const DEFAULT: usize = 64;

impl Samples {
    /// The first ones of the pack.
    pub(crate) fn first_of(pack: &Pack) -> Self {
        Self(vec![0..=pack.len().min(DEFAULT) - 1])
    }

    /// Each sample once, in the order of the pack.
    ///
    /// # Errors
    ///
    /// If one is not in the pack.
    pub(crate) fn of(&self, pack: &Pack) -> anyhow::Result<Vec<usize>> {
        for range in &self.0 {
            let (last, samples) = (*range.end(), pack.len());
            ensure!(
                last < samples,
                "{} has no sample {last}: expected 0 to {} in --samples",
                pack.path.display(),
                samples - 1,
            );
        }
        let each: BTreeSet<usize> = self.0.iter().cloned().flatten().collect();
        Ok(each.into_iter().collect())
    }
}

impl FromStr for Samples {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        list.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("expected samples and ranges such as 0,5,10-19, found `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_ranges_are_read() {
        assert_eq!("0,5, 10-19".parse(), Ok(Samples(vec![0..=0, 5..=5, 10..=19])));
    }

    #[test]
    fn what_is_no_list_is_said() {
        for bad in ["", "a", "1,", "3-1", "-1", "1-", "1-2-3", "1.5"] {
            let error = bad.parse::<Samples>().unwrap_err();
            assert!(error.contains("such as 0,5,10-19, found"), "{bad}: {error}");
        }
    }
}
