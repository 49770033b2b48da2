//! The paper's Figure 3: test images with the maps of the baseline and of ours.

use std::collections::BTreeMap;

use artifact::{Label, Maps, Pack};
use explain::full_size;

use crate::{
    picture,
    run::{self, Run},
};

/// How many images are shown.
const SHOWN: usize = 10;

/// One test image and what either network looks at.
pub(crate) struct Comparison {
    pub class: String,
    pub image: String,
    pub baseline: Look,
    pub ours: Look,
}

/// A map, the class it is of, and whether that class is right.
pub(crate) struct Look {
    pub map: String,
    pub class: String,
    pub right: bool,
}

/// Test images spread evenly through the pack: a sample, not a selection.
///
/// Nothing, if there is no baseline or its maps or ours were deleted.
pub(crate) fn choose(run: &Run, test: &Pack) -> anyhow::Result<Vec<Comparison>> {
    let Some(baseline) = run.last_of_baseline() else { return Ok(Vec::new()) };
    let files = [baseline, run.last()].map(|folder| folder.join("test-maps.safetensors"));
    if !files.iter().all(|file| file.exists()) {
        tracing::info!("no test maps: the comparison of maps is left out");
        return Ok(Vec::new());
    }
    let [baseline, ours] = [run::maps(&files[0], test)?, run::maps(&files[1], test)?];
    let rows: BTreeMap<u32, usize> = baseline.sample.iter().copied().zip(0..).collect();
    // rows of ours and of the baseline, of the images that both have
    let both: Vec<(usize, usize)> = (0..ours.len())
        .filter_map(|row| Some((row, *rows.get(&ours.sample[row])?)))
        .collect();
    let count = both.len();
    let shown = SHOWN.min(count);
    spread(shown, count)
        .map(|at| {
            let (row, of_baseline) = both[at];
            let image = test.image(ours.sample[row] as usize);
            Ok(Comparison {
                class: names(test, test.labels.row(ours.sample[row] as usize)),
                image: picture::plain(image, [test.height(), test.width()])?,
                baseline: look(test, &baseline, of_baseline)?,
                ours: look(test, &ours, row)?,
            })
        })
        .collect()
}

/// `shown` of `count` rows along the golden ratio: evenly spread, yet in step neither with a
/// pack sorted by class nor with one that cycles through the classes.
fn spread(shown: usize, count: usize) -> impl Iterator<Item = usize> {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    (1..=shown).map(move |i| ((i as f64 * GOLDEN).fract() * count as f64) as usize)
}

fn look(test: &Pack, maps: &Maps, row: usize) -> anyhow::Result<Look> {
    let size = [test.height(), test.width()];
    let sample = maps.sample[row] as usize;
    let map = full_size(maps.map(row), (maps.height, maps.width), (size[0], size[1]));
    let predicted = maps.predicted[row];
    Ok(Look {
        map: picture::overlay(test.image(sample), &map, size)?,
        class: test.meta.classes.get(predicted as usize).cloned().unwrap_or_default(),
        right: test.labels.row(sample).has(predicted),
    })
}

fn names(pack: &Pack, label: Label<'_>) -> String {
    let classes = &pack.meta.classes;
    match label {
        Label::Single(label) => classes.get(label as usize).cloned().unwrap_or_default(),
        Label::Multi(hot) => {
            let present = classes.iter().zip(hot).filter(|&(_, &present)| present == 1);
            present.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_and_within_the_pack() {
        assert_eq!(spread(4, 100).collect::<Vec<_>>(), [61, 23, 85, 47]);
        assert_eq!(spread(1, 1).collect::<Vec<_>>(), [0]);
    }
}
