//! Which perturbed map belongs to which clean one, and whether the two files belong
//! together at all.

use std::{collections::BTreeMap, path::Path};

use anyhow::{bail, ensure};
use artifact::Maps;
use scores::Perturbed;

/// Are these maps of clean images?
pub(crate) fn check_clean(path: &Path, maps: &Maps) -> anyhow::Result<()> {
    ensure!(!maps.sample.is_empty(), "{}: expected maps, found none", path.display());
    if let Some(epsilon) = maps.meta.epsilon {
        bail!(
            "{}: expected maps of clean images, found maps of perturbed ones (epsilon {epsilon})",
            path.display()
        );
    }
    Ok(())
}

/// Joins the perturbed maps to the clean ones.
///
/// # Errors
///
/// If the two are of different packs or models, by provenance or by what they hold, if
/// they explain in different ways, or if a correctly predicted sample has no perturbed
/// map: each error names both files.
pub(crate) fn join<'a>(
    clean: (&Path, &Maps, &str),
    perturbed: (&Path, &'a Maps),
) -> anyhow::Result<Perturbed<'a>> {
    let ((a, clean, digest), (b, maps)) = (clean, perturbed);
    // a foreign file need not say its epsilon
    if maps.provenance.is_some() && maps.meta.epsilon.is_none() {
        bail!(
            "{}: expected maps of perturbed images, found maps of clean ones",
            b.display()
        );
    }
    for role in ["data", "model"] {
        artifact::agree(
            role,
            (a, clean.provenance.as_ref()),
            (b, maps.provenance.as_ref()),
        )?;
    }
    // x̂ was composed with maps, which should be these
    artifact::made_from("maps", (b, maps.provenance.as_ref()), (a, digest))?;
    same_manner(clean, maps, a, b)?;

    let here: BTreeMap<u32, usize> = clean.sample.iter().copied().zip(0..).collect();
    let joined = Perturbed::new(maps);
    for (sample, row) in joined.rows() {
        let Some(&i) = here.get(&sample) else {
            bail!("{} holds sample {sample}, {} does not", b.display(), a.display());
        };
        ensure!(
            clean.labels.row(i) == maps.labels.row(row),
            "{} and {} label sample {sample} differently: they are of different packs",
            a.display(),
            b.display(),
        );
    }
    let missing: Vec<u32> = (0..clean.sample.len())
        .filter(|&i| clean.labels.row(i).has(clean.predicted[i]))
        .map(|i| clean.sample[i])
        .filter(|&sample| joined.row(sample).is_none())
        .collect();
    if !missing.is_empty() {
        bail!(
            "{} lacks {} samples that {} predicts correctly, first {}",
            b.display(),
            missing.len(),
            a.display(),
            missing.iter().take(5).map(u32::to_string).collect::<Vec<_>>().join(", "),
        );
    }
    Ok(joined)
}

/// Were both made by one explainer, at one place, of one size?
fn same_manner(clean: &Maps, perturbed: &Maps, a: &Path, b: &Path) -> anyhow::Result<()> {
    let manner = |maps: &Maps| {
        let of_maps = [
            ("map size", format!("{}x{}", maps.height, maps.width)),
            ("number of classes", maps.classes.to_string()),
            ("kind of labels", maps.labels.kind().to_string()),
        ];
        maps.meta.manner().into_iter().chain(of_maps)
    };
    for ((what, expected), (_, found)) in manner(clean).zip(manner(perturbed)) {
        ensure!(
            expected == found,
            "{} and {} differ in their {what}: expected {expected}, found {found}",
            a.display(),
            b.display(),
        );
    }
    Ok(())
}
