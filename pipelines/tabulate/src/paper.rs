//! The paper's own figures, which stand beside ours and are of other data.

use std::{fs, path::Path};

use anyhow::{Context, bail};

/// Rows of the paper.
pub(crate) struct Paper {
    pub(crate) rows: Vec<Row>,
}

/// One figure of the paper.
pub(crate) struct Row {
    pub(crate) setting: String,
    pub(crate) method: String,
    pub(crate) measure: String,
    /// As the paper writes it.
    pub(crate) value: String,
}

impl Paper {
    /// Reads the list at `path`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let at = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {at}"))?;
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
            let words: Vec<&str> = line.split('\t').collect();
            let [setting, method, measure, value] = words[..] else {
                bail!(
                    "{at}, line {number}: expected setting, method, measure and value with \
                     tabs between, found {} words",
                    words.len()
                );
            };
            let [setting, method, measure, value] =
                [setting, method, measure, value].map(str::to_owned);
            rows.push(Row { setting, method, measure, value });
        }
        Ok(Self { rows })
    }
}
