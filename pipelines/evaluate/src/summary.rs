//! What is printed of the table.

use std::fmt;

use artifact::Evaluation;

/// The rows that are not of single classes, aligned.
pub(crate) struct Summary<'a>(pub(crate) &'a Evaluation);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(table) = self;
        writeln!(
            f,
            "{:<13} {:<8} {:<10} {:>7} {:>7}",
            "metric", "group", "explainer", "value", "count"
        )?;
        for i in (0..table.len()).filter(|&i| !table.group[i].starts_with("class:")) {
            let (metric, group) = (&table.metric[i], &table.group[i]);
            let explainer = table.explainer[i].as_deref().unwrap_or("-");
            let (value, count) = (table.value[i], table.count[i]);
            writeln!(f, "{metric:<13} {group:<8} {explainer:<10} {value:>7.4} {count:>7}")?;
        }
        Ok(())
    }
}
