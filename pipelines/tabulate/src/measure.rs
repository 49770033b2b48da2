use std::str::FromStr;

use artifact::Evaluation;

/// A row of an evaluation that is compared, and its name in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) name: String,
    metric: String,
    group: String,
    explainer: Option<String>,
}

impl Measure {
    /// Its value, if it was evaluated.
    pub(crate) fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        evaluation.get(&self.metric, &self.group, self.explainer.as_deref())
    }

    /// The row that is meant, as evaluate names it.
    pub(crate) fn row(&self) -> String {
        let explainer =
            self.explainer.as_deref().map_or(String::new(), |e| format!(",{e}"));
        format!("{},{}{explainer}", self.metric, self.group)
    }
}

/// Whether the values of the measure of this name are written as percentages.
pub(crate) fn is_percentage(name: &str) -> bool {
    name.ends_with('%')
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected NAME=METRIC[,GROUP[,EXPLAINER]]".to_owned();
        let (name, row) = text.split_once('=').ok_or_else(expected)?;
        let mut words = row.split(',').map(str::to_owned);
        let metric =
            words.next().filter(|metric| !metric.is_empty()).ok_or_else(expected)?;
        let group = words.next().unwrap_or_else(|| "all".to_owned());
        let explainer = words.next();
        if name.is_empty() || words.next().is_some() {
            return Err(expected());
        }
        Ok(Self { name: name.to_owned(), metric, group, explainer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_a_row() {
        let mut evaluation = Evaluation::default();
        evaluation.push("top1", "all", None, 0.5, 8);
        evaluation.push("miou", "class:cat", Some("grad-cam"), 0.25, 8);
        let of = |text: &str| text.parse::<Measure>().unwrap().of(&evaluation);
        assert_eq!(of("accuracy, %=top1"), Some(0.5));
        assert_eq!(of("mIoU=miou,class:cat,grad-cam"), Some(0.25));
        assert_eq!(of("mIoU=miou,class:cat"), None);
        for wrong in ["top1", "=top1", "a=", "a=b,c,d,e"] {
            assert!(wrong.parse::<Measure>().is_err(), "{wrong}");
        }
    }
}
