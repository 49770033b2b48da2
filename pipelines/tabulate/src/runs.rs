//! The runs that are compared, and their comparison.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use artifact::{Comparison, Evaluation};

use crate::{
    measure::Measure,
    paired::{deviation, mean, probability},
};

/// The values of all measures in all runs.
pub(crate) struct Runs<'a> {
    path: &'a Path,
    measures: &'a [Measure],
    /// Settings and methods, in the order in which they come.
    order: Vec<(String, String)>,
    /// Of each of them by seed, the measures.
    values: BTreeMap<(String, String), BTreeMap<String, Vec<f64>>>,
    /// Roles and digests of the evaluations.
    pub(crate) digests: Vec<(String, String)>,
}

impl<'a> Runs<'a> {
    /// Reads the list at `path`, and the evaluations that it names.
    ///
    /// # Errors
    ///
    /// If a line has other words, a run is listed twice, or an evaluation lacks a measure.
    pub(crate) fn read(path: &'a Path, measures: &'a [Measure]) -> anyhow::Result<Self> {
        let at = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {at}"))?;
        let mut runs = Self {
            path,
            measures,
            order: Vec::new(),
            values: BTreeMap::new(),
            digests: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
            let words: Vec<&str> = line.split('\t').collect();
            let [setting, method, seed, file] = words[..] else {
                anyhow::bail!(
                    "{at}, line {number}: expected setting, method, seed and file with tabs \
                     between, found {} words",
                    words.len()
                );
            };
            let key = (setting.to_owned(), method.to_owned());
            if !runs.values.contains_key(&key) {
                runs.order.push(key.clone());
            }
            let file = PathBuf::from(file);
            let measured = measured(&file, measures)?;
            let before =
                runs.values.entry(key).or_default().insert(seed.to_owned(), measured);
            ensure!(
                before.is_none(),
                "{at}, line {number}: {method} of {setting} with seed {seed} is listed twice"
            );
            let role = format!("{setting}/{method}/{seed}");
            runs.digests.push((role, artifact::digest(&file)?));
        }
        ensure!(!runs.order.is_empty(), "{at}: expected runs, found none");
        Ok(runs)
    }

    /// Means and deviations over the seeds, and the differences to the baseline of the same
    /// setting and seed.
    ///
    /// # Errors
    ///
    /// If no setting has that baseline.
    pub(crate) fn compare(&self, baseline: Option<&str>) -> anyhow::Result<Comparison> {
        if let Some(name) = baseline {
            ensure!(
                self.order.iter().any(|(_, method)| method == name),
                "{}: expected runs of the baseline {name}, found none",
                self.path.display(),
            );
        }
        let mut rows = Comparison::default();
        for key @ (setting, method) in &self.order {
            let runs = &self.values[key];
            let against = baseline
                .filter(|name| name != method)
                .and_then(|name| self.values.get(&(setting.clone(), name.to_owned())));
            for (i, measure) in self.measures.iter().enumerate() {
                let values: Vec<f64> = runs.values().map(|of_seed| of_seed[i]).collect();
                let differences: Vec<f64> = runs
                    .iter()
                    .filter_map(|(seed, ours)| Some(ours[i] - against?.get(seed)?[i]))
                    .collect();
                rows.setting.push(setting.clone());
                rows.method.push(method.clone());
                rows.measure.push(measure.name.clone());
                rows.seeds.push(values.len() as u32);
                rows.mean.push(mean(&values));
                rows.deviation.push(deviation(&values));
                let some = !differences.is_empty();
                rows.difference.push(some.then(|| mean(&differences)));
                rows.difference_deviation.push(deviation(&differences));
                rows.probability.push(probability(&differences));
            }
        }
        Ok(rows)
    }
}

fn measured(file: &Path, measures: &[Measure]) -> anyhow::Result<Vec<f64>> {
    let (evaluation, _) = Evaluation::read(file)?;
    measures
        .iter()
        .map(|measure| {
            measure.of(&evaluation).with_context(|| {
                format!("{}: expected {}, found no such row", file.display(), measure.row())
            })
        })
        .collect()
}
