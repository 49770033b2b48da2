//! Are the samples that a bias left alone among those that weigh most (section IV-D)?

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use artifact::{Evaluation, Pack, Weights};
use metrics::Debiasing;

/// What a table of weights makes of the samples without the bias.
pub(crate) struct Debiased {
    found: Debiasing,
    /// BLAKE3 of the table.
    pub(crate) digest: String,
}

/// Compares the weights at `path` with the groups of the pack.
///
/// # Errors
///
/// Also if the pack has no groups, or if the table is of another pack: by its provenance, or
/// because its samples are not those of the pack, each once.
pub(crate) fn measure(path: &Path, pack: &Pack) -> Result<Debiased> {
    ensure!(
        pack.has_groups(),
        "--debiasing needs groups, and {} has none: prepare --bias makes training packs with \
         groups",
        pack.path.display(),
    );
    let digest = artifact::digest(path)?;
    let (table, provenance) = Weights::read(path)?;
    artifact::made_from("data", (path, provenance.as_ref()), (&pack.path, pack.digest()))?;
    let found = join(&table, pack).with_context(|| {
        format!("the weights {} are not of {}", path.display(), pack.path.display())
    })?;
    Ok(Debiased { found, digest })
}

/// Samples that are not selected are left out: nobody weighs them.
fn join(table: &Weights, pack: &Pack) -> Result<Debiasing> {
    let mut seen = vec![false; pack.len()];
    let (mut weights, mut unbiased) = (Vec::new(), Vec::new());
    for (row, &sample) in table.sample.iter().enumerate() {
        let i = sample as usize;
        ensure!(
            i < pack.len(),
            "unknown sample {sample}, the pack has {} images",
            pack.len()
        );
        seen[i] = true;
        if table.selected[row] {
            weights.push(table.weight[row]);
            unbiased.push(pack.group(i) == Some(0));
        }
    }
    if let Some(missing) = seen.iter().position(|seen| !seen) {
        let rows = table.len();
        bail!("sample {missing} is missing: {rows} rows for {} images", pack.len());
    }
    metrics::debiasing(&weights, &unbiased).context("no sample is selected")
}

impl Debiased {
    /// Adds the share at the top, and that among all.
    pub(crate) fn report(&self, evaluation: &mut Evaluation) {
        let Debiasing { share, top, chance, samples } = self.found;
        evaluation.push("debiasing", "all", None, share, top);
        evaluation.push("debiasing_chance", "all", None, chance, samples);
    }
}
