//! `prepare`: from a dataset in its original layout, or the built-in shapes, to packs.
//!
//! Decodes every image once, brings it to one size and writes `samples.parquet`,
//! `validation.safetensors` (if asked), `test.safetensors` and `train.safetensors`, in this
//! order and only when all of them are in memory: nothing is written by a run that fails
//! over its inputs. If asked, most of the training images are biased first (section IV-D of
//! the paper).

mod args;
mod bad;
mod bias;
mod built_in;
mod original;
mod split;

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use artifact::Samples;
use stage::Stage;

use args::{Args, Name};
use split::Split;

fn main() -> ExitCode {
    stage::main(run)
}

fn run(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    args.check()?;
    // nothing here runs on a GPU, but programs without CUDA refuse one everywhere
    args.common.check()?;
    let mut provenance = stage.provenance();
    let mut splits = if args.dataset == Name::Shapes {
        built_in::splits(args, stage)?
    } else {
        let (splits, digest) = original::splits(args, stage)?;
        provenance = provenance.with_input("source", digest);
        splits
    };

    bias::implant(args, &mut splits)?;
    let mut samples = Samples::default();
    for split in &splits {
        split.list(&mut samples);
        split.log();
    }
    stage.check()?;
    forget_others(&args.output, &splits)?;
    samples.write(&args.output.join("samples.parquet"), &provenance)?;
    for Split { pack, .. } in &splits {
        let path = args.output.join(format!("{}.safetensors", pack.meta.split));
        pack.write(&path, &provenance)
            .with_context(|| format!("the {} pack", pack.meta.split))?;
    }
    Ok(())
}

/// Deletes packs of splits that are not made this time: the same images may now be in others.
fn forget_others(folder: &Path, splits: &[Split]) -> anyhow::Result<()> {
    for name in ["train", "validation", "test"] {
        let path = folder.join(format!("{name}.safetensors"));
        if path.exists() && splits.iter().all(|split| split.pack.meta.split != name) {
            fs::remove_file(&path)
                .with_context(|| format!("cannot delete {}", path.display()))?;
        }
    }
    Ok(())
}
