//! `audit`: how far does each image's explanation move under the attack?
//!
//! `attack`, `explain` twice and `score` in one, without the files between them: a batch
//! goes through the network once for its predictions, its maps and the gradient by its
//! pixels, and only its correctly predicted images go through it again, perturbed. The rows
//! are those of the four stages, bit for bit.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use artifact::{MapsMeta, Pack, atomic};
use explain::TargetKind;
use scores::Summary;
use stage::Stage;

use crate::{
    args::Args,
    audit::Audit,
    perturb::{Disturbance, Part},
};

mod args;
mod audit;
mod labels;
mod perturb;

#[global_allocator]
static MEMORY: ops::memory::Kept = ops::memory::Kept::new();

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    let device = stage.device(&args.common)?;
    let inputs = [&args.data, &args.model].into_iter().chain(&args.unlabelled);
    atomic::check(&[&args.output], inputs)?;
    let pack = Arc::new(Pack::open(&args.data)?);
    let labelled = match &args.unlabelled {
        Some(path) => labels::labelled(path, &pack)?,
        None => vec![true; pack.len()],
    };
    let performer = performer::open(&args.model, args.arch, &pack, &device)?;
    let tap = performer.network.resolve_tap(args.tap.as_deref())?;
    let (smooth, at_a_time) = (args.smooth, args.batch_size);
    let explainer = explain::by_name(&args.explainer, smooth, at_a_time)?;

    let audit = Audit {
        pack: &pack,
        labelled,
        model: &args.model,
        network: &performer.network,
        tap: &tap,
        explainer: explainer.as_ref(),
        target: TargetKind::of(&args.target, &pack.meta.classes)?,
        disturbance: if let Some(masking) = args.masking {
            Disturbance::Masking(masking.into())
        } else {
            let epsilon = args.epsilon.context("no --epsilon")? as f32;
            let step = attack::step(epsilon, args.epsilon_unit, performer.meta.std);
            Disturbance::Attack { step }
        },
        part: if args.everywhere { Part::Everything } else { Part::Background },
        psi: args.psi,
        reduction: args.reduction,
        meta: MapsMeta {
            explainer: args.explainer.clone(),
            tap: tap.name().to_owned(),
            smooth: smooth.map(|smooth| smooth.to_string()),
            image_size: [pack.height(), pack.width()],
            target: args.target.clone(),
            epsilon: None,
            epsilon_unit: None,
        },
    };
    let judged = audit.run(at_a_time.get(), stage)?;

    let mut provenance = stage
        .provenance()
        .with_input("data", pack.digest())
        .with_input("model", performer.digest.as_str());
    if let Some(path) = &args.unlabelled {
        provenance = provenance.with_input("unlabelled", artifact::digest(path)?);
    }
    judged.write(&args.output, &provenance)?;
    if args.unlabelled.is_some() {
        let unlabelled = audit.labelled.iter().filter(|&&labelled| !labelled).count();
        stage::print(&format_args!("unlabelled {unlabelled:>8}  counted as correct\n"))?;
    }
    stage::print(&Summary::of(&judged))?;
    scores::warn_if_equal(&judged);
    Ok(())
}
