use std::iter;

use anyhow::{Context, ensure};
use artifact::{LabelKind, Labels, PackData, PackMeta};
use data::{
    BadFile, Geometry, MaskFile,
    layout::{Dataset, Label, Source, backgrounds, cub, folder, stl10, voc},
};
use rayon::prelude::*;
use stage::{Progress, Stage};

use crate::{
    args::{Args, Name},
    bad,
    split::Split,
};

/// Reads the dataset and decodes it; also gives the BLAKE3 of what it says: the classes, and
/// in the order of the samples their names, labels, and bytes of images and masks.
pub(crate) fn splits(args: &Args, stage: &Stage) -> anyhow::Result<(Vec<Split>, String)> {
    let mut dataset = open(args)?;
    if !args.skip_bad {
        bad::report(&dataset.bad, false)?;
    }
    if dataset.splits.values().flatten().any(has_box) {
        tracing::warn!("no segmentations/: the bounding boxes are taken as masks");
    }
    if let Some(fraction) = args.validation {
        dataset.hold_out(fraction, args.common.seed)?;
    }
    let total: usize = dataset.splits.values().map(Vec::len).sum();
    let progress = stage.progress(total as u64, "decoding");

    let mut bad = std::mem::take(&mut dataset.bad);
    let mut digest = blake3::Hasher::new();
    digest.update(format!("{:?}", dataset.classes).as_bytes());
    let mut splits = Vec::new();
    for name in ["validation", "test", "train"] {
        if let Some(sources) = dataset.splits.remove(name) {
            let mut decoder = Decoder {
                geometry: args.geometry(),
                progress: &progress,
                stage,
                digest: &mut digest,
                bad: &mut bad,
            };
            splits.push(decoder.split(&dataset, name, &sources)?);
        } else if name != "validation" {
            tracing::warn!("the dataset has no {name} images: no {name}.safetensors");
        }
    }
    drop(progress);

    bad::report(&bad, args.skip_bad)?;
    for split in &splits {
        ensure!(
            !split.sources.is_empty(),
            "no images are left in {}",
            split.pack.meta.split
        );
    }
    Ok((splits, digest.finalize().to_hex().to_string()))
}

fn has_box(source: &Source) -> bool {
    let mask = source.mask.as_ref();
    mask.is_some_and(|mask| matches!(mask.file, MaskFile::Box { .. }))
}

fn open(args: &Args) -> anyhow::Result<Dataset> {
    let root =
        args.root.as_deref().context("--root is needed: the folder of the dataset")?;
    let dataset = match args.dataset {
        Name::Voc => {
            let or = |set: &Option<String>, usual: &str| {
                set.clone().unwrap_or_else(|| usual.to_owned())
            };
            let choice = voc::Choice {
                classes: args.classes.clone(),
                labels: args.labels.map_or(LabelKind::Single, LabelKind::from),
                train_set: or(&args.train_set, "train"),
                test_set: or(&args.test_set, "val"),
            };
            voc::open(root, &choice)
        }
        Name::Stl10 => {
            stl10::open(root, &stl10::Choice { fold: args.fold, masks: args.masks.clone() })
        }
        Name::Cub => cub::open(root),
        Name::Backgrounds => {
            backgrounds::open(root, args.variant.as_deref().unwrap_or("original"))
        }
        Name::Folder => {
            let choice = folder::Choice {
                masks: args.masks.clone(),
                threshold: args.mask_threshold.unwrap_or(0),
                test_fraction: args.test_fraction,
                seed: args.common.seed,
            };
            folder::open(root, &choice)
        }
        Name::Shapes => unreachable!("shapes have no files"),
    };
    Ok(dataset?)
}

struct Decoder<'a> {
    geometry: Geometry,
    progress: &'a Progress,
    stage: &'a Stage,
    digest: &'a mut blake3::Hasher,
    bad: &'a mut Vec<BadFile>,
}

impl Decoder<'_> {
    fn split(
        &mut self,
        dataset: &Dataset,
        name: &str,
        sources: &[Source],
    ) -> anyhow::Result<Split> {
        let size = self.geometry.size;
        let (image, mask) = (3 * size * size, size * size);
        // Either every image of a split has a mask or none.
        let masked = sources.first().is_some_and(|source| source.mask.is_some());
        let mut images = vec![0; sources.len() * image];
        let mut masks = vec![0; if masked { sources.len() * mask } else { 0 }];
        let digests = self.decode(sources, &mut images, &mut masks)?;
        let mut kept = Vec::with_capacity(sources.len());
        for (row, (source, digest)) in sources.iter().zip(digests).enumerate() {
            match digest {
                Ok(digest) => {
                    let text = format!("{name} {} {:?}", source.name, source.label);
                    self.digest.update(text.as_bytes()).update(&digest);
                    // over the row of what is left out
                    let to = kept.len();
                    if to < row {
                        images.copy_within(row * image..(row + 1) * image, to * image);
                        if masked {
                            masks.copy_within(row * mask..(row + 1) * mask, to * mask);
                        }
                    }
                    kept.push(source);
                }
                Err(bad) => self.bad.push(bad),
            }
        }
        images.truncate(kept.len() * image);
        masks.truncate(kept.len() * mask);
        let pack = PackData {
            meta: PackMeta {
                dataset: dataset.name.to_owned(),
                split: name.to_owned(),
                classes: dataset.classes.clone(),
                labels: dataset.labels,
                image_size: Some([size, size]),
            },
            height: size,
            width: size,
            images,
            labels: labels(dataset, &kept),
            masks: masked.then_some(masks),
            groups: None,
        };
        Ok(Split {
            pack,
            sources: kept.into_iter().map(|source| source.name.clone()).collect(),
        })
    }

    /// Decodes each image and its mask straight into their rows, on all cores; one that cannot be used gives its reason and
    /// does not stop the others. Gives the digests of the rest.
    fn decode(
        &self,
        sources: &[Source],
        images: &mut [u8],
        masks: &mut [u8],
    ) -> anyhow::Result<Vec<Result<[u8; 32], BadFile>>> {
        let pixels = self.geometry.size * self.geometry.size;
        // without masks, as many rows of nothing
        let masks =
            masks.chunks_exact_mut(pixels).chain(iter::repeat_with(Default::default));
        let rows: Vec<_> = images.chunks_exact_mut(3 * pixels).zip(masks).collect();
        // each by itself: images take unlike times
        (sources.par_iter().zip(rows).with_max_len(1))
            .map(|(source, (image, mask))| {
                self.stage.check()?;
                let decoded = source.decode(self.geometry);
                self.progress.inc(1);
                Ok(decoded.map(|decoded| {
                    image.copy_from_slice(&decoded.image);
                    mask.copy_from_slice(&decoded.mask.unwrap_or_default());
                    decoded.digest
                }))
            })
            .collect()
    }
}

fn labels(dataset: &Dataset, sources: &[&Source]) -> Labels {
    let mut single = Vec::new();
    let mut hot = Vec::new();
    for source in sources {
        match &source.label {
            Label::Single(class) => single.push(*class),
            Label::Multi(classes) => hot.extend_from_slice(classes),
        }
    }
    match dataset.labels {
        LabelKind::Single => Labels::Single(single),
        LabelKind::Multi => Labels::Multi { classes: dataset.classes.len(), hot },
    }
}
