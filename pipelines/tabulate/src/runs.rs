//! The runs that are compared, and their comparison.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use artifact::{Comparison, Evaluation};

use crate::{
    list,
    measure::Measure,
    paired::{deviation, mean, probability},
};

/// The values of all measures in all runs.
#[derive(Default)]
pub(crate) struct Runs {
    /// Settings and methods, in the order in which they come.
    order: Vec<(String, String)>,
    /// Names, in the order in which they come.
    measures: Vec<String>,
    /// Of each setting, method and measure, by seed.
    values: BTreeMap<(String, String, String), BTreeMap<String, f64>>,
    /// Roles and digests of the evaluations.
    pub(crate) digests: Vec<(String, String)>,
}

impl Runs {
    /// Reads the list at `path`: of evaluations, or without measures of values.
    ///
    /// # Errors
    ///
    /// If a line has other words, a run is listed twice, an evaluation lacks a measure, or a
    /// value is not a number.
    pub(crate) fn read(path: &Path, measures: &[Measure]) -> anyhow::Result<Self> {
        if measures.is_empty() {
            Self::measured(path)
        } else {
            Self::evaluated(path, measures)
        }
    }

    fn evaluated(path: &Path, measures: &[Measure]) -> anyhow::Result<Self> {
        let mut runs = Self::default();
        list::read(path, "setting, method, seed and files", 4.., |words| {
            let [setting, method, seed] = [words[0], words[1], words[2]];
            let mut files = Vec::new();
            for (i, file) in (1..).zip(&words[3..]) {
                let file = PathBuf::from(file);
                let of = if i == 1 { String::new() } else { format!("@{i}") };
                let role = format!("{setting}/{method}/{seed}{of}");
                runs.digests.push((role, artifact::digest(&file)?));
                let (evaluation, _) = Evaluation::read(&file)?;
                files.push((file, evaluation));
            }
            for measure in measures {
                let value = measure.of(&files)?;
                runs.push([setting, method, seed, &measure.name], value)?;
            }
            Ok(())
        })?;
        Ok(runs)
    }

    fn measured(path: &Path) -> anyhow::Result<Self> {
        let mut runs = Self::default();
        list::read(path, "setting, method, seed, measure and value", 5..=5, |words| {
            let number = words[4].parse().ok().filter(|number: &f64| number.is_finite());
            let number = number
                .with_context(|| format!("expected a finite number, found {}", words[4]))?;
            runs.push([words[0], words[1], words[2], words[3]], number)
        })?;
        Ok(runs)
    }

    fn push(&mut self, run: [&str; 4], value: f64) -> anyhow::Result<()> {
        let [setting, method, seed, measure] = run.map(str::to_owned);
        let of = (setting.clone(), method.clone());
        if !self.order.contains(&of) {
            self.order.push(of);
        }
        if !self.measures.contains(&measure) {
            self.measures.push(measure.clone());
        }
        let again = format!("{method} of {setting} with seed {seed} is listed twice");
        let seeds = self.values.entry((setting, method, measure)).or_default();
        ensure!(seeds.insert(seed, value).is_none(), again);
        Ok(())
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
                "expected runs of the baseline {name}, found none",
            );
        }
        let mut rows = Comparison::default();
        for (setting, method) in &self.order {
            for measure in &self.measures {
                let of = |method: &str| {
                    let key = (setting.clone(), method.to_owned(), measure.clone());
                    self.values.get(&key)
                };
                let Some(runs) = of(method) else { continue };
                let against = baseline.filter(|name| name != method).and_then(of);
                let values: Vec<f64> = runs.values().copied().collect();
                let differences: Vec<f64> = runs
                    .iter()
                    .filter_map(|(seed, ours)| Some(ours - against?.get(seed)?))
                    .collect();
                rows.setting.push(setting.clone());
                rows.method.push(method.clone());
                rows.measure.push(measure.clone());
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
