//! The paper's own figures, which stand beside ours and are of other data.

use std::path::Path;

use crate::list;

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
        let mut rows = Vec::new();
        list::read(path, "setting, method, measure and value", 4..=4, |words| {
            let [setting, method, measure, value] =
                [words[0], words[1], words[2], words[3]].map(str::to_owned);
            rows.push(Row { setting, method, measure, value });
            Ok(())
        })?;
        Ok(Self { rows })
    }
}
