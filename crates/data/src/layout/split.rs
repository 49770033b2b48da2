//! A random share of every class.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{Error, Result, layout::Source};

/// Parts `sources` into the rest and a random `fraction`, the same of every class; both
/// keep their order.
///
/// Of a class of n images, fraction·n rounded to the nearest are taken. Which ones depends
/// on the seed, the class and n alone.
pub(crate) fn stratified(
    sources: Vec<Source>,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<Source>, Vec<Source>)> {
    let mut strata: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (row, source) in sources.iter().enumerate() {
        strata.entry(source.label.classes()).or_default().push(row);
    }

    let mut taken = vec![false; sources.len()];
    for (classes, mut rows) in strata {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream(&classes));
        // The smallest of random keys: a draw without replacement.
        rows.sort_by_cached_key(|&row| (random.next_u64(), row));
        let share = (fraction * rows.len() as f64).round() as usize;
        for &row in rows.iter().take(share) {
            taken[row] = true;
        }
    }

    let count = taken.iter().filter(|&&taken| taken).count();
    if count == 0 || count == sources.len() {
        return Err(Error::Share { fraction, taken: count, of: sources.len() });
    }
    let mut taken = taken.into_iter();
    let (held_out, rest) =
        sources.into_iter().partition(|_| taken.next().expect("one flag a source"));
    Ok((rest, held_out))
}

/// A stream of random numbers for each set of classes.
fn stream(classes: &[usize]) -> u64 {
    classes.iter().fold(0, |stream: u64, &class| {
        stream.wrapping_mul(1_000_003).wrapping_add(class as u64 + 1)
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{ImageSource, layout::Label};

    fn sources(labels: impl Iterator<Item = i64>) -> Vec<Source> {
        labels
            .enumerate()
            .map(|(row, label)| Source {
                name: row.to_string(),
                image: ImageSource::File(PathBuf::new()),
                label: Label::Single(label),
                mask: None,
            })
            .collect()
    }

    fn names(sources: &[Source]) -> Vec<usize> {
        sources.iter().map(|source| source.name.parse().unwrap()).collect()
    }

    #[test]
    fn every_class_gives_its_share_and_none_is_lost() {
        // 60 of class 0, 20 of class 1.
        let all = sources((0..80).map(|row| i64::from(row % 4 == 0)));
        let (rest, held_out) = stratified(all.clone(), 0.1, 7).unwrap();
        let of_class = |class| {
            held_out.iter().filter(|source| source.label == Label::Single(class)).count()
        };
        assert_eq!((of_class(0), of_class(1), rest.len()), (6, 2, 72));
        assert!(names(&rest).is_sorted() && names(&held_out).is_sorted());
        let mut both = [names(&rest), names(&held_out)].concat();
        both.sort_unstable();
        assert_eq!(both, (0..80).collect::<Vec<_>>());

        let again = stratified(all.clone(), 0.1, 7).unwrap().1;
        assert_eq!(names(&again), names(&held_out));
        let other = stratified(all, 0.1, 8).unwrap().1;
        assert_ne!(names(&other), names(&held_out));
    }

    #[test]
    fn a_share_of_nothing_or_of_all_is_an_error() {
        for fraction in [0.0, 0.01, 1.0] {
            assert!(stratified(sources([0, 1, 0].into_iter()), fraction, 0).is_err());
        }
    }
}
