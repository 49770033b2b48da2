//! Where the artefacts of the last round come from.

use artifact::{
    Evaluation, Maps, ModelFile, Pack, Perturbations, Provenance, Scores, Weights,
};

use crate::run::Run;

/// One artefact: its file, stage, flags and inputs.
pub(crate) struct Origin {
    pub file: String,
    pub stage: String,
    pub revision: String,
    pub flags: String,
    pub inputs: String,
}

/// Origins of the training pack and of everything in the last round's folder that its scores
/// stem from.
pub(crate) fn read(run: &Run, train: &Pack) -> anyhow::Result<Vec<Origin>> {
    let folder = run.last();
    let mut origins = vec![origin("train.safetensors", train.provenance.as_ref())];
    let size = (train.height(), train.width());
    let from_files = run.rounds.last().is_none_or(|round| round.scored_from_files);
    let scored =
        ["maps.safetensors", "perturbations.safetensors", "perturbed-maps.safetensors"];
    let files = ["weights.parquet", "model.safetensors"]
        .into_iter()
        .chain(scored.into_iter().filter(|_| from_files))
        .chain(["scores.parquet", "evaluation.parquet"]);
    for name in files {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let provenance = match name {
            "weights.parquet" => Weights::read(&path)?.1,
            "model.safetensors" => ModelFile::read(&path)?.provenance,
            "perturbations.safetensors" => Perturbations::read(&path, size)?.provenance,
            "scores.parquet" => Scores::read(&path)?.1,
            "evaluation.parquet" => Evaluation::read(&path)?.1,
            _ => Maps::read(&path)?.provenance,
        };
        origins.push(origin(name, provenance.as_ref()));
    }
    Ok(origins)
}

fn origin(file: &str, provenance: Option<&Provenance>) -> Origin {
    let Some(provenance) = provenance else {
        return Origin {
            file: file.to_owned(),
            stage: "unknown".to_owned(),
            revision: String::new(),
            flags: String::new(),
            inputs: String::new(),
        };
    };
    let dirty = if provenance.dirty { "+" } else { "" };
    let flags = provenance.flags.iter().map(|(name, value)| format!("--{name} {value}"));
    let inputs = provenance
        .inputs
        .iter()
        .map(|(role, digest)| format!("{role} {}", digest.get(..12).unwrap_or(digest)));
    Origin {
        file: file.to_owned(),
        stage: provenance.stage.clone(),
        revision: format!("{} {}{dirty}", provenance.version, provenance.revision),
        flags: flags
            .chain([format!("--seed {}", provenance.seed)])
            .collect::<Vec<_>>()
            .join(" "),
        inputs: inputs.collect::<Vec<_>>().join(", "),
    }
}
