//! Everything the template shows.

use artifact::{LabelKind, Pack};
use askama::Template;

use crate::{
    chart::{self, Series},
    comparison::{self, Comparison},
    consistency_examples::{self, Example},
    origin::{self, Origin},
    run::Run,
    table::{Row, decimal, judged, percent},
};

/// The page, `templates/report.html`.
#[derive(Template)]
#[template(path = "report.html")]
pub(crate) struct Page {
    pub name: String,
    pub dataset: String,
    pub measure: &'static str,
    pub samples: usize,
    pub tests: usize,
    pub explainer: String,
    pub rows: Vec<Row>,
    pub accuracy_chart: Option<String>,
    pub miou_chart: Option<String>,
    pub histograms: Vec<Histogram>,
    pub consistent: Vec<Example>,
    pub inconsistent: Vec<Example>,
    pub comparisons: Vec<Comparison>,
    pub origins: Vec<Origin>,
}

/// D of one round's samples.
pub(crate) struct Histogram {
    pub round: u32,
    pub caption: String,
    pub svg: String,
}

impl Page {
    pub(crate) fn new(run: &Run, train: &Pack, test: &Pack) -> anyhow::Result<Self> {
        let rows: Vec<_> = run.rounds.iter().map(|round| Row::new(run, round)).collect();
        let (consistent, inconsistent) = consistency_examples::choose(run, train)?;
        Ok(Self {
            name: run.name(),
            dataset: format!("{} ({})", test.meta.dataset, test.meta.split),
            measure: match test.meta.labels {
                LabelKind::Single => "accuracy",
                LabelKind::Multi => "mean average precision",
            },
            samples: train.len(),
            tests: test.len(),
            explainer: run.explainer().unwrap_or("no explainer").to_owned(),
            accuracy_chart: chart(
                &rows,
                |r| r.accuracy,
                |r| r.baseline_accuracy,
                |v| format!("{:.1} %", 100.0 * v),
            ),
            miou_chart: chart(
                &rows,
                |r| r.miou,
                |r| r.baseline_miou,
                |v| format!("{v:.3}"),
            ),
            histograms: histograms(run),
            consistent,
            inconsistent,
            comparisons: comparison::choose(run, test)?,
            origins: origin::read(run, train)?,
            rows,
        })
    }

    /// The last round's accuracy and mIoU beside the baseline's, with the difference.
    fn headline(&self) -> Vec<Headline> {
        let Some(last) = self.rows.last() else { return Vec::new() };
        let accuracy = Headline {
            what: self.measure,
            ours: percent(last.accuracy),
            baseline: percent(last.baseline_accuracy),
            difference: difference(last.accuracy, last.baseline_accuracy, 100.0, " points"),
        };
        let miou = Headline {
            what: "mIoU of the maps",
            ours: decimal(last.miou),
            baseline: decimal(last.baseline_miou),
            difference: difference(last.miou, last.baseline_miou, 1.0, ""),
        };
        if last.miou.is_some() { vec![accuracy, miou] } else { vec![accuracy] }
    }
}

/// One number of the page's head.
struct Headline {
    what: &'static str,
    ours: String,
    baseline: String,
    difference: String,
}

fn difference(ours: Option<f64>, baseline: Option<f64>, scale: f64, unit: &str) -> String {
    let Some((ours, baseline)) = ours.zip(baseline) else { return String::new() };
    let difference = scale * (ours - baseline);
    let decimals = if scale > 1.0 { 1 } else { 4 };
    format!("{difference:+.decimals$}{unit}")
}

fn chart(
    rows: &[Row],
    ours: fn(&Row) -> Option<f64>,
    baseline: fn(&Row) -> Option<f64>,
    show: fn(f64) -> String,
) -> Option<String> {
    let baseline =
        Series { class: "baseline", values: rows.iter().map(baseline).collect() };
    let ours = Series { class: "ours", values: rows.iter().map(ours).collect() };
    chart::lines(&[baseline, ours], show)
}

fn histograms(run: &Run) -> Vec<Histogram> {
    let draw = |round: &crate::run::Round| {
        let (flipped, rest) = judged(&round.scores);
        Histogram {
            round: round.number,
            caption: format!("{} unflipped, {flipped} flipped (weight 1)", rest.len()),
            svg: chart::histogram(&rest),
        }
    };
    run.rounds.iter().map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_a_sign_and_a_unit() {
        assert_eq!(difference(Some(0.75), Some(0.5), 100.0, " points"), "+25.0 points");
        assert_eq!(difference(Some(0.25), Some(0.5), 1.0, ""), "-0.2500");
        assert_eq!(difference(None, Some(0.5), 1.0, ""), "");
    }
}
