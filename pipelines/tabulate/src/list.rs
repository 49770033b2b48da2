//! Lists: lines of words with tabs between.

use std::{fs, path::Path};

use anyhow::{Context, ensure};

/// Calls `take` with the words of each line of the file at `path` that is not empty.
///
/// # Errors
///
/// If there is no line, or one has fewer words than `expected` names; an error of `take` gets the
/// number of its line.
pub(crate) fn read(
    path: &Path,
    expected: &[&str],
    mut take: impl FnMut(&[&str]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let at = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {at}"))?;
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()).peekable();
    ensure!(
        lines.peek().is_some(),
        "{at}: expected lines of {} with tabs between, found none",
        expected.join(", ")
    );
    for (number, line) in lines {
        let words: Vec<&str> = line.split('\t').collect();
        let here = || format!("{at}, line {number}");
        ensure!(
            words.len() >= expected.len(),
            "{}: expected {} with tabs between, found {} words",
            here(),
            expected.join(", "),
            words.len()
        );
        take(&words).with_context(here)?;
    }
    Ok(())
}
