//! Lists: lines of words with tabs between.

use std::{fs, ops::RangeBounds, path::Path};

use anyhow::{Context, ensure};

/// Calls `take` with the words of each line of the file at `path` that is not empty.
///
/// # Errors
///
/// If there is no line, or one has not as many words as `count` allows; an error of `take` gets
/// the number of its line.
pub(crate) fn read(
    path: &Path,
    expected: &str,
    count: impl RangeBounds<usize>,
    mut take: impl FnMut(&[&str]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let at = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {at}"))?;
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()).peekable();
    ensure!(
        lines.peek().is_some(),
        "{at}: expected lines of {expected} with tabs between, found none",
    );
    for (number, line) in lines {
        let words: Vec<&str> = line.split('\t').collect();
        let here = || format!("{at}, line {number}");
        ensure!(
            count.contains(&words.len()),
            "{}: expected {expected} with tabs between, found {} words",
            here(),
            words.len()
        );
        take(&words).with_context(here)?;
    }
    Ok(())
}
