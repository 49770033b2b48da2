use std::path::Path;

use anyhow::{Context, bail, ensure};
use artifact::{Labels, Pack, Provenance, Weights};

/// What is learnt from a pack, and how much of each of its images.
pub(crate) struct Samples {
    /// Rows that epochs visit, ascending.
    pub(crate) selected: Vec<u32>,
    /// The weight of each row of the pack.
    pub(crate) weight: Vec<f32>,
    /// The label of each row, pseudo labels in place.
    pub(crate) labels: Labels,
}

impl Samples {
    /// Every image of the pack, with weight 1.
    pub(crate) fn uniform(pack: &Pack) -> anyhow::Result<Self> {
        let n = u32::try_from(pack.len()).context("a pack has at most 2³² images")?;
        Ok(Self {
            selected: (0..n).collect(),
            weight: vec![1.0; pack.len()],
            labels: pack.labels.clone(),
        })
    }

    /// The images of the pack as the table at `path` weighs them.
    ///
    /// # Errors
    ///
    /// If the table is of another pack: by its provenance, or because its samples are not
    /// those of the pack, each once.
    pub(crate) fn weighted(path: &Path, pack: &Pack) -> anyhow::Result<Self> {
        let (table, provenance) = Weights::read(path)?;
        check_origin(path, provenance.as_ref(), pack)?;
        Self::join(&table, pack).with_context(|| {
            format!("the weights {} are not of {}", path.display(), pack.path.display())
        })
    }

    fn join(table: &Weights, pack: &Pack) -> anyhow::Result<Self> {
        let mut samples = Self::uniform(pack)?;
        samples.selected.clear();
        let mut seen = vec![false; pack.len()];
        for (row, &sample) in table.sample.iter().enumerate() {
            let i = sample as usize;
            ensure!(
                i < pack.len(),
                "unknown sample {sample}, the pack has {} images",
                pack.len()
            );
            seen[i] = true;
            samples.weight[i] = table.weight[row];
            if table.selected[row] {
                samples.selected.push(sample);
            }
            if let Some(class) = table.pseudo_label[row] {
                samples.relabel(i, class, pack.classes())?;
            }
        }
        if let Some(missing) = seen.iter().position(|seen| !seen) {
            bail!(
                "sample {missing} is missing: {} rows for {} images",
                table.sample.len(),
                pack.len()
            );
        }
        ensure!(!samples.selected.is_empty(), "no sample is selected");
        samples.selected.sort_unstable();
        Ok(samples)
    }

    fn relabel(&mut self, sample: usize, class: i32, classes: usize) -> anyhow::Result<()> {
        let known = usize::try_from(class).is_ok_and(|class| class < classes);
        ensure!(
            known,
            "the pseudo label of sample {sample} is {class}, there are {classes} classes"
        );
        let Labels::Single(labels) = &mut self.labels else {
            bail!(
                "sample {sample} has a pseudo label, but images have several labels here"
            );
        };
        labels[sample] = i64::from(class);
        Ok(())
    }
}

/// Refuses a file that was made from another pack.
pub(crate) fn check_origin(
    path: &Path,
    provenance: Option<&Provenance>,
    pack: &Pack,
) -> anyhow::Result<()> {
    artifact::made_from("data", (path, provenance), (&pack.path, pack.digest()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> Pack {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.safetensors");
        let provenance = Provenance::default();
        data::shapes::generate(3, "train", 0, &|_| ()).write(&path, &provenance).unwrap();
        Pack::open(&path).unwrap()
    }

    fn table(sample: &[u32]) -> Weights {
        Weights {
            sample: sample.to_vec(),
            weight: sample.iter().map(|&s| s as f32 / 2.0).collect(),
            selected: vec![true; sample.len()],
            pseudo_label: vec![None; sample.len()],
        }
    }

    fn refusal(table: &Weights) -> String {
        Samples::join(table, &pack()).err().unwrap().to_string()
    }

    #[test]
    fn rows_are_joined_by_id() {
        let mut table = table(&[2, 0, 1]);
        table.selected[1] = false;
        table.pseudo_label[2] = Some(7);
        let samples = Samples::join(&table, &pack()).unwrap();
        assert_eq!(samples.weight, [0.0, 0.5, 1.0]);
        assert_eq!(samples.selected, [1, 2]);
        assert_eq!(samples.labels, Labels::Single(vec![0, 7, 2]));
    }

    #[test]
    fn other_samples_than_the_packs_are_refused() {
        assert!(refusal(&table(&[0, 1, 2, 3])).contains("unknown sample 3"));
        assert!(refusal(&table(&[0, 1])).contains("sample 2 is missing"));
    }

    #[test]
    fn labels_and_selections_without_sense_are_refused() {
        let pseudo_label = vec![None, None, Some(10)];
        let other = Weights { pseudo_label, ..table(&[0, 1, 2]) };
        assert!(refusal(&other).contains("pseudo label of sample 2 is 10"));
        let none = Weights { selected: vec![false; 3], ..table(&[0, 1, 2]) };
        assert!(refusal(&none).contains("no sample is selected"));
    }
}
