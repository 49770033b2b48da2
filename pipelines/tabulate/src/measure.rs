use std::{path::PathBuf, str::FromStr};

use anyhow::Context;
use artifact::Evaluation;

/// What is compared, and its name in the table: a row of an evaluation, or the difference of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) name: String,
    row: Row,
    minus: Option<Row>,
}

/// A row of one of a run's evaluations, as evaluate names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    metric: String,
    group: String,
    explainer: Option<String>,
    /// Which of the run's evaluations, from 1.
    file: usize,
}

impl Measure {
    /// Its value in a run's evaluations, which are paired with the files that they are from.
    ///
    /// # Errors
    ///
    /// If there is no such file or row.
    pub(crate) fn of(&self, run: &[(PathBuf, Evaluation)]) -> anyhow::Result<f64> {
        let minus = self.minus.as_ref().map_or(Ok(0.0), |row| row.of(run))?;
        Ok(self.row.of(run)? - minus)
    }
}

impl Row {
    fn of(&self, run: &[(PathBuf, Evaluation)]) -> anyhow::Result<f64> {
        let (path, evaluation) = run.get(self.file - 1).with_context(|| {
            format!(
                "expected {} evaluations for @{}, found {}",
                self.file,
                self.file,
                run.len()
            )
        })?;
        evaluation.get(&self.metric, &self.group, self.explainer.as_deref()).with_context(
            || {
                let explainer =
                    self.explainer.as_deref().map_or(String::new(), |e| format!(",{e}"));
                format!(
                    "{}: expected {},{}{explainer}, found no such row",
                    path.display(),
                    self.metric,
                    self.group
                )
            },
        )
    }
}

/// Whether the values of the measure of this name are written as percentages.
pub(crate) fn is_percentage(name: &str) -> bool {
    name.ends_with('%')
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected NAME=ROW or NAME=ROW - ROW, ROW as METRIC[,GROUP[,EXPLAINER]][@FILE]"
                .to_owned()
        };
        let (name, rows) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(expected)?;
        let mut rows = rows.split(" - ").map(|row| Row::parse(row).ok_or_else(expected));
        let row = rows.next().ok_or_else(expected)??;
        let minus = rows.next().transpose()?;
        match rows.next() {
            None => Ok(Self { name: name.to_owned(), row, minus }),
            Some(_) => Err(expected()),
        }
    }
}

impl Row {
    fn parse(text: &str) -> Option<Self> {
        let (row, file) = text.split_once('@').unwrap_or((text, "1"));
        let file = file.parse().ok().filter(|file| *file > 0)?;
        let mut words = row.split(',').map(str::to_owned);
        let metric = words.next().filter(|metric| !metric.is_empty())?;
        let group = words.next().unwrap_or_else(|| "all".to_owned());
        let explainer = words.next();
        words.next().is_none().then_some(Self { metric, group, explainer, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_a_row_or_a_difference() {
        let run: Vec<_> = [0.5, 0.125]
            .into_iter()
            .map(|top1| {
                let mut evaluation = Evaluation::default();
                evaluation.push("top1", "all", None, top1, 8);
                evaluation.push("miou", "class:cat", Some("grad-cam"), top1 / 2.0, 8);
                (PathBuf::from("e.parquet"), evaluation)
            })
            .collect();
        let of = |text: &str| text.parse::<Measure>().unwrap().of(&run);
        assert_eq!(of("accuracy, %=top1").unwrap(), 0.5);
        assert_eq!(of("mIoU=miou,class:cat,grad-cam").unwrap(), 0.25);
        assert_eq!(of("later=top1@2").unwrap(), 0.125);
        assert_eq!(of("gap=top1 - top1@2").unwrap(), 0.375);
        let error = |text: &str| of(text).unwrap_err().to_string();
        assert_eq!(
            error("mIoU=miou,class:cat"),
            "e.parquet: expected miou,class:cat, found no such row"
        );
        assert_eq!(error("a=top1 - top1@3"), "expected 3 evaluations for @3, found 2");
        for wrong in
            ["top1", "=top1", "a=", "a=b,c,d,e", "a=b@0", "a=b@x", "a=b - c - d", "a=b - "]
        {
            assert!(wrong.parse::<Measure>().is_err(), "{wrong}");
        }
    }
}
