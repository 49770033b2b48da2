use anyhow::bail;
use data::BadFile;

/// How many files are named; the rest is counted.
const NAMED: usize = 20;

/// Reports the files that cannot be used and fails, unless they may be left out.
pub(crate) fn report(bad: &[BadFile], skip: bool) -> anyhow::Result<()> {
    for file in bad.iter().take(NAMED) {
        tracing::warn!("{file}");
    }
    if bad.len() > NAMED {
        tracing::warn!("… and {} more", bad.len() - NAMED);
    }
    match (bad.len(), skip) {
        (0, _) => Ok(()),
        (count, true) => {
            tracing::warn!("left out {count} files that cannot be used");
            Ok(())
        }
        (1, false) => bail!("{} (--skip-bad leaves it out)", bad[0]),
        (count, false) => bail!(
            "{count} files cannot be used, {} for one (--skip-bad leaves them out)",
            bad[0].path.display()
        ),
    }
}
