//! The paper's Figure 4: the samples of highest and of lowest explanation consistency.

use std::{collections::BTreeMap, path::Path};

use artifact::{Direction, Maps, ModelFile, Pack, Perturbations, Scores, made_from};
use explain::full_size;
use models::Normalization;

use crate::{
    picture,
    run::{self, Run},
};

/// How many of either kind are shown.
const SHOWN: usize = 4;

/// A sample before and after the perturbation.
pub(crate) struct Example {
    pub title: String,
    pub image: String,
    pub map: String,
    pub perturbed: String,
    pub perturbed_map: String,
}

/// The samples of highest, then of lowest consistency after the last round.
///
/// Nothing, if the maps or directions of that round were deleted, or were not what was scored.
pub(crate) fn choose(
    run: &Run,
    pack: &Pack,
) -> anyhow::Result<(Vec<Example>, Vec<Example>)> {
    let folder = run.last();
    let Some(round) = run.rounds.last() else { return Ok(Default::default()) };
    let files = ["maps", "perturbed-maps", "perturbations"];
    if !round.scored_from_files || !files.iter().all(|f| file(&folder, f).exists()) {
        tracing::info!("no maps in {}: their examples are left out", folder.display());
        return Ok(Default::default());
    }
    let shower = Shower::read(&folder, pack)?;
    let order = order(&round.scores);
    let show = |i: &usize| shower.show(&round.scores, *i).transpose();
    Ok((
        order.iter().rev().filter_map(show).take(SHOWN).collect::<Result<_, _>>()?,
        order.iter().filter_map(show).take(SHOWN).collect::<Result<_, _>>()?,
    ))
}

/// Rows that were judged, from the least consistent; the more distant maps first among equals.
fn order(scores: &Scores) -> Vec<usize> {
    let mut rows: Vec<_> =
        (0..scores.len()).filter(|&i| scores.consistency[i].is_some()).collect();
    let key = |i: usize| {
        (scores.consistency[i].unwrap_or(0.0), scores.distance[i].unwrap_or(0.0))
    };
    rows.sort_by(|&a, &b| {
        let ((e_a, d_a), (e_b, d_b)) = (key(a), key(b));
        e_a.total_cmp(&e_b).then(d_b.total_cmp(&d_a))
    });
    rows
}

fn file(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(name).with_extension("safetensors")
}

/// What it takes to draw a sample.
struct Shower<'a> {
    pack: &'a Pack,
    clean: Maps,
    perturbed: Maps,
    directions: Perturbations,
    row_clean: BTreeMap<u32, usize>,
    row_perturbed: BTreeMap<u32, usize>,
    row_direction: BTreeMap<u32, usize>,
    epsilon: [f32; 3],
}

fn rows(samples: &[u32]) -> BTreeMap<u32, usize> {
    samples.iter().enumerate().map(|(row, &sample)| (sample, row)).collect()
}

impl<'a> Shower<'a> {
    fn read(folder: &Path, pack: &'a Pack) -> anyhow::Result<Self> {
        let clean = run::maps(&file(folder, "maps"), pack)?;
        let perturbed = run::maps(&file(folder, "perturbed-maps"), pack)?;
        for (role, name) in
            [("maps", "maps"), ("perturbations", "perturbations"), ("model", "model")]
        {
            let (made, from) = (file(folder, "perturbed-maps"), file(folder, name));
            let digest = artifact::digest(&from)?;
            made_from(role, (&made, perturbed.provenance.as_ref()), (&from, &digest))?;
        }
        let directions = Perturbations::read(
            &file(folder, "perturbations"),
            (pack.height(), pack.width()),
        )?;
        let meta = ModelFile::read(&file(folder, "model"))?.meta;
        let std = meta.map_or(Normalization::IMAGENET.std, |meta| meta.std);
        let unit = perturbed.meta.epsilon_unit.as_deref().unwrap_or("pixel").parse()?;
        let epsilon = attack::step(perturbed.meta.epsilon.unwrap_or(0.0) as f32, unit, std);
        Ok(Self {
            row_clean: rows(&clean.sample),
            row_perturbed: rows(&perturbed.sample),
            row_direction: rows(&directions.sample),
            pack,
            clean,
            perturbed,
            directions,
            epsilon,
        })
    }

    fn show(&self, scores: &Scores, i: usize) -> anyhow::Result<Option<Example>> {
        let sample = scores.sample[i];
        let found = (
            self.row_clean.get(&sample),
            self.row_perturbed.get(&sample),
            self.row_direction.get(&sample),
        );
        let (Some(&clean), Some(&perturbed), Some(&direction)) = found else {
            return Ok(None);
        };
        let size = [self.pack.height(), self.pack.width()];
        let full = |maps: &Maps, row| {
            full_size(maps.map(row), (maps.height, maps.width), (size[0], size[1]))
        };
        let (map, new_map) = (full(&self.clean, clean), full(&self.perturbed, perturbed));
        let image = self.pack.image(sample as usize);
        let hat = self.compose(image, direction, &map);
        Ok(Some(Example {
            title: self.title(scores, i),
            image: picture::plain(image, size)?,
            map: picture::overlay(image, &map, size)?,
            perturbed: picture::plain(&hat, size)?,
            perturbed_map: picture::overlay(&hat, &new_map, size)?,
        }))
    }

    /// x̂ of Eq. (1), in bytes.
    fn compose(&self, image: &[u8], direction: usize, map: &[f32]) -> Vec<u8> {
        let x: Vec<_> = image.iter().map(|&v| f32::from(v) / 255.0).collect();
        let mut hat = vec![0.0; x.len()];
        let direction = match self.directions.direction(direction) {
            Direction::Signs(signs) => attack::Direction::Signs(signs),
            Direction::Delta(delta) => attack::Direction::Delta(delta),
        };
        attack::compose(&x, direction, map, self.epsilon, &mut hat);
        hat.iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    fn title(&self, scores: &Scores, i: usize) -> String {
        let class = |index: i32| {
            self.pack.meta.classes.get(index as usize).map_or("?", String::as_str)
        };
        let consistency = scores.consistency[i].unwrap_or(0.0);
        let now = match scores.predicted_perturbed[i] {
            Some(new) if new != scores.predicted[i] => format!(" → {}", class(new)),
            _ => String::new(),
        };
        format!(
            "{}{now} · E = {consistency:.3} · sample {}",
            class(scores.predicted[i]),
            scores.sample[i]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_consistent_come_first_and_unjudged_ones_not_at_all() {
        let scores = Scores {
            sample: vec![0, 1, 2, 3],
            consistency: vec![Some(0.5), None, Some(0.0), Some(0.0)],
            distance: vec![Some(1.0), None, Some(1.0), Some(2.0)],
            ..Scores::default()
        };
        assert_eq!(order(&scores), [3, 2, 0]);
    }
}
