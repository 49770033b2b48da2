//! `train`: a round of epochs on a weighted pack.
//!
//! Parameters, moments, schedule and the count of epochs go on from the round before, and
//! all that is random is a function of the seed and of these counts: T rounds of E epochs
//! with the same weights are one of T·E, bit for bit.

mod args;
mod checkpoint;
mod learner;
mod loss;
mod objective;
mod optimizer;
mod samples;
mod schedule;
mod start;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, ensure};
use artifact::{
    LabelKind, ModelFile, ModelMeta, OptimizerState, Pack, Provenance, Training, Values,
    atomic,
};
use models::{Head, Network};
use stage::Stage;

use args::{Algorithm, Args, LossName};
use checkpoint::Checkpoint;
use learner::{Learner, Lesson};
use optimizer::Optimizer;
use samples::Samples;
use start::Start;

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    let device = stage.device(&args.common)?;
    ensure!(
        args.recipe.momentum.is_none() || args.recipe.optimizer == Algorithm::Sgd,
        "--momentum is SGD's: expected --optimizer sgd with it",
    );
    let plain = args.recipe.loss == LossName::CrossEntropy;
    ensure!(
        args.recipe.gamma.is_none() || !plain,
        "--gamma is of the focal losses: expected --loss focal or equalized-focal with it",
    );
    check(args)?;
    let pack = Arc::new(Pack::open(&args.data)?);
    let side = pack.height().min(pack.width());
    ensure!(
        args.augmentation.augment().crop.is_none_or(|padding| padding <= side),
        "--crop-padding: expected at most {side}, the size of the images of {}",
        args.data.display(),
    );
    ensure!(
        plain || pack.labels.kind() == LabelKind::Single,
        "the focal losses are of one label an image, and {} has sets of them: expected \
         --loss cross-entropy",
        args.data.display(),
    );
    let samples = match &args.weights {
        Some(path) => Samples::weighted(path, &pack)?,
        None => Samples::uniform(&pack)?,
    };
    let Start { mut learner, rounds, inputs } = Start::open(args, &pack, &device)?;
    let provenance = provenance(args, stage, &pack, inputs)?;

    let last = learner.epoch + args.epochs;
    let kept = checkpoint::path(&args.output);
    let mut training = Training::default();
    if args.resume
        && let Some(checkpoint) = Checkpoint::read(&kept, &provenance)?
    {
        training = resume(&mut learner, args, checkpoint)
            .with_context(|| format!("cannot go on with {}; delete it", kept.display()))?;
        tracing::info!("going on after epoch {}/{}", training.epoch.len(), args.epochs);
    }

    let lesson = Lesson {
        args,
        stage,
        pack: &pack,
        samples: &samples,
        device: &device,
        round: rounds + 1,
    };
    let batches = data::in_batches(&samples.selected, args.recipe.batch_size).len() as u64;
    let ahead = u64::from(last - learner.epoch) * batches;
    let progress = stage.progress(ahead, &format!("round {}", lesson.round));
    while learner.epoch < last {
        learner.epoch(&lesson, &progress, &mut training)?;
        checkpoint::write(&kept, &learner, &training, &provenance)?;
    }
    drop(progress);
    write(args, &pack, &learner, lesson.round, &training, provenance)?;
    checkpoint::remove(&kept)
}

fn provenance(
    args: &Args,
    stage: &Stage,
    pack: &Pack,
    inputs: Vec<(&'static str, String)>,
) -> anyhow::Result<Provenance> {
    let mut provenance = stage.provenance().with_input("data", pack.digest());
    if let Some(path) = &args.weights {
        provenance = provenance.with_input("weights", artifact::digest(path)?);
    }
    for (role, digest) in inputs {
        provenance = provenance.with_input(role, digest);
    }
    Ok(provenance)
}

/// Puts a learner where the checkpoint says.
fn resume(
    learner: &mut Learner,
    args: &Args,
    checkpoint: Checkpoint,
) -> anyhow::Result<Training> {
    let Checkpoint { model, optimizer, training } = checkpoint;
    let network = &learner.network;
    learner.network = Network::load(
        network.arch(),
        network.classes(),
        network.normalization(),
        &model,
        Head::Keep,
    )?
    .to_device(network.device())?;
    let (Some(&epoch), Some(&step)) = (training.epoch.last(), training.step.last()) else {
        anyhow::bail!("it has no epochs");
    };
    learner.epoch = epoch;
    let (recipe, parameters) = (args.recipe.clone(), learner.network.parameters());
    learner.optimizer = Optimizer::restore(recipe, parameters, step, &optimizer)?;
    Ok(training)
}

/// Fails if the model or what lies beside it cannot be written, or would replace an input.
fn check(args: &Args) -> artifact::Result<()> {
    let (optimizer, table) = beside(&args.output);
    let outputs = [&args.output, &optimizer, &table, &checkpoint::path(&args.output)];
    let of_previous = |dir: &PathBuf| {
        ["model.safetensors", "optimizer.safetensors"].map(|name| dir.join(name))
    };
    let previous: Vec<PathBuf> = args.previous.iter().flat_map(of_previous).collect();
    let inputs = [&args.data].into_iter().chain(&args.weights).chain(&args.init);
    atomic::check(&outputs.map(PathBuf::as_path), inputs.chain(&previous))
}

/// Where the optimiser's state and the table of epochs lie.
fn beside(output: &Path) -> (PathBuf, PathBuf) {
    let named = |name| output.with_file_name(name);
    (named("optimizer.safetensors"), named("training.parquet"))
}

/// Writes the three artefacts, the model last: where it is, the others are.
fn write(
    args: &Args,
    pack: &Pack,
    learner: &Learner,
    round: u32,
    training: &Training,
    provenance: Provenance,
) -> anyhow::Result<()> {
    let state = OptimizerState {
        algorithm: learner.optimizer.algorithm().into(),
        step: learner.optimizer.step(),
        epoch: learner.epoch,
        learning_rate: training.learning_rate.last().copied().unwrap_or_default(),
    };
    let normalization = learner.network.normalization();
    let meta = ModelMeta {
        arch: args.arch.to_string(),
        classes: pack.meta.classes.clone(),
        image_size: [pack.height(), pack.width()],
        mean: normalization.mean,
        std: normalization.std,
        labels: Some(pack.meta.labels),
        round,
        epoch: learner.epoch,
    };
    let mut moments = Values::default();
    learner.optimizer.lend("", &mut moments)?;
    let (optimizer, table) = beside(&args.output);
    state.write(&optimizer, &moments, Some(&provenance))?;
    training.write(&table, &provenance)?;
    let tensors = learner.network.state()?;
    ModelFile { meta: Some(meta), tensors, provenance: Some(provenance) }
        .write(&args.output)?;
    Ok(())
}
