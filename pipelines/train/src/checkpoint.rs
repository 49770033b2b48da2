//! What is left by a run that is cut off, so that `--resume` goes on with it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use artifact::{ModelFile, Provenance, Training, Values};
use candle_core::{Device, Tensor};

use crate::learner::Learner;

/// Columns of the table of epochs.
const COLUMNS: usize = 8;

/// Model, optimiser and table after an epoch: a safetensors file beside the output, with
/// the tensors `model.NAME`, `optimizer.NAME`, and `training`, the table's numbers as the
/// bits of f64.
pub(crate) struct Checkpoint {
    pub(crate) model: BTreeMap<String, Tensor>,
    pub(crate) optimizer: BTreeMap<String, Tensor>,
    /// One row for each epoch of this round; the last tells steps and epochs.
    pub(crate) training: Training,
}

/// The checkpoint of the run that writes `output`.
pub(crate) fn path(output: &Path) -> PathBuf {
    output.with_file_name(".checkpoint.safetensors")
}

/// Writes that of the learner to `path`, atomically.
pub(crate) fn write(
    path: &Path,
    learner: &Learner,
    training: &Training,
    provenance: &Provenance,
) -> anyhow::Result<()> {
    let Learner { network, optimizer, .. } = learner;
    let model = network.state()?.into_iter();
    let mut tensors: BTreeMap<String, Tensor> =
        model.map(|(name, tensor)| (format!("model.{name}"), tensor)).collect();
    tensors.insert("training".into(), to_tensor(training)?);
    let provenance = Some(provenance.clone());
    let mut moments = Values::default();
    optimizer.lend("optimizer.", &mut moments)?;
    ModelFile { meta: None, tensors, provenance }.write_with(path, moments)?;
    Ok(())
}

impl Checkpoint {
    /// Reads the one at `path`, if there is one and it is of a run with this provenance.
    ///
    /// One of another run is of no use: it is left aside, with a warning that says why.
    pub(crate) fn read(
        path: &Path,
        provenance: &Provenance,
    ) -> anyhow::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let file = match ModelFile::read(path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!("{error}; starting this round anew");
                return Ok(None);
            }
        };
        if let Some(difference) = difference(file.provenance.as_ref(), provenance) {
            tracing::warn!(
                "{} is of another run: {difference}; starting anew",
                path.display()
            );
            return Ok(None);
        }
        let table = file.tensors.get("training").and_then(|table| from_tensor(table).ok());
        let training = table.with_context(|| {
            format!("{} has no table of epochs; delete it", path.display())
        })?;
        let part = |prefix: &str| {
            let strip = |(name, tensor): (&String, &Tensor)| {
                Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            };
            file.tensors.iter().filter_map(strip).collect()
        };
        Ok(Some(Self { model: part("model."), optimizer: part("optimizer."), training }))
    }
}

/// Deletes the checkpoint at `path`, if there is one.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The first thing in which two runs differ, in words.
///
/// Not the git revision: a commit in the meantime does not make the epochs another run's.
fn difference(there: Option<&Provenance>, here: &Provenance) -> Option<String> {
    let Some(there) = there else { return Some("it does not say of which".into()) };
    let (there, here) = (entries(there), entries(here));
    let name =
        there.keys().chain(here.keys()).find(|&name| there.get(name) != here.get(name))?;
    let said = |entries: &BTreeMap<String, String>| {
        entries.get(name).map_or("absent", String::as_str).to_owned()
    };
    Some(format!("`{name}` was {}, is {}", said(&there), said(&here)))
}

/// What makes a run: its program, flags, inputs and seed.
fn entries(provenance: &Provenance) -> BTreeMap<String, String> {
    let inputs = provenance
        .inputs
        .iter()
        .map(|(role, digest)| (format!("input {role}"), digest.clone()));
    let mut entries = provenance.flags.clone();
    entries.extend(inputs);
    entries.insert("seed".into(), provenance.seed.to_string());
    entries
        .insert("program".into(), format!("{} {}", provenance.stage, provenance.version));
    entries
}

fn to_tensor(training: &Training) -> candle_core::Result<Tensor> {
    let mut rows = Vec::with_capacity(COLUMNS * training.epoch.len());
    for i in 0..training.epoch.len() {
        let row: [f64; COLUMNS] = [
            training.round[i].into(),
            training.epoch[i].into(),
            training.step[i] as f64,
            training.learning_rate[i],
            training.loss[i],
            training.accuracy[i],
            training.images_per_second[i],
            training.seconds[i],
        ];
        rows.extend(row.map(|number| number.to_bits().cast_signed()));
    }
    Tensor::from_vec(rows, (training.epoch.len(), COLUMNS), &Device::Cpu)
}

fn from_tensor(table: &Tensor) -> candle_core::Result<Training> {
    let mut training = Training::default();
    for row in table.to_vec2::<i64>()? {
        let number = |column: usize| f64::from_bits(row[column].cast_unsigned());
        training.round.push(number(0) as u32);
        training.epoch.push(number(1) as u32);
        training.step.push(number(2) as u64);
        training.learning_rate.push(number(3));
        training.loss.push(number(4));
        training.accuracy.push(number(5));
        training.images_per_second.push(number(6));
        training.seconds.push(number(7));
    }
    Ok(training)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use models::{Arch, Network, Normalization};

    use super::*;
    use crate::{args::Args, optimizer::Optimizer};

    fn training() -> Training {
        Training {
            round: vec![2],
            epoch: vec![5],
            step: vec![123],
            learning_rate: vec![1e-4],
            loss: vec![0.1 + 0.2],
            accuracy: vec![1.0 / 3.0],
            images_per_second: vec![17.5],
            seconds: vec![60.0],
        }
    }

    fn learner() -> Learner {
        let network = Network::new(Arch::Resnet20, 2, Normalization::IMAGENET, 0).unwrap();
        let recipe = Args::parse_from([
            "train", "--data", "x", "--arch", "resnet20", "--output", "y",
        ])
        .recipe;
        let optimizer = Optimizer::new(recipe, network.parameters()).unwrap();
        Learner { network, optimizer, epoch: 5 }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(&dir.path().join("model.safetensors"));
        let learner = learner();
        let provenance = Provenance::default().with_input("data", "aa");
        assert!(Checkpoint::read(&path, &provenance).unwrap().is_none());
        write(&path, &learner, &training(), &provenance).unwrap();

        let read = Checkpoint::read(&path, &provenance).unwrap().unwrap();
        assert_eq!(read.training, training());
        let state = learner.network.state().unwrap();
        assert!(read.model.keys().eq(state.keys()));
        let flat =
            |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(&read.model["fc.weight"]), flat(&state["fc.weight"]));
        let parameters = learner.network.parameters();
        assert_eq!(read.optimizer.len(), 2 * parameters.len());
        assert_eq!(read.optimizer["exp_avg.fc.weight"].dims(), state["fc.weight"].dims());

        let other = Provenance::default().with_input("data", "bb");
        assert!(Checkpoint::read(&path, &other).unwrap().is_none());
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_difference_is_put_in_words() {
        let flags = |rate: &str| Provenance {
            flags: BTreeMap::from([("learning-rate".into(), rate.into())]),
            ..Provenance::default()
        };
        let difference = difference(Some(&flags("0.1")), &flags("0.01")).unwrap();
        assert_eq!(difference, "`learning-rate` was 0.1, is 0.01");
    }
}
