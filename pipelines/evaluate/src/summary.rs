//! What is printed of the table.

use std::fmt;

use artifact::Evaluation;

/// The rows that are not of single classes, aligned.
pub(crate) struct Summary<'a>(pub(crate) &'a Evaluation);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(table) = self;
        let shown = (0..table.len()).filter(|&i| !table.group[i].starts_with("class:"));
        let names = shown.clone().map(|i| {
            let explainer = table.explainer[i].as_deref().unwrap_or("-");
            [table.metric[i].as_str(), table.group[i].as_str(), explainer]
        });
        let head = ["metric", "group", "explainer"];
        let widest = |column: usize| {
            let lengths = names.clone().map(|names| names[column].len());
            lengths.chain([head[column].len()]).max().unwrap_or_default()
        };
        let (m, g, e) = (widest(0), widest(1), widest(2));
        let [metric, group, explainer] = head;
        writeln!(
            f,
            "{metric:<m$} {group:<g$} {explainer:<e$} {:>7} {:>7}",
            "value", "count"
        )?;
        for (i, [metric, group, explainer]) in shown.zip(names.clone()) {
            let (value, count) = (table.value[i], table.count[i]);
            writeln!(
                f,
                "{metric:<m$} {group:<g$} {explainer:<e$} {value:>7.4} {count:>7}"
            )?;
        }
        Ok(())
    }
}
