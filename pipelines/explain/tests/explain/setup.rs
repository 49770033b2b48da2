//! The files that the tests start from, and the stage as they run it.

use std::{path::Path, process::Output};

use artifact::{Directions, LabelKind, Labels, Maps, Perturbations, Provenance};
use explain::{Explanation, Target};
use fixtures::{INPUTS, Tiny, assert_succeeded};
use models::Normalization;

pub(crate) const SIZE: usize = 16;
pub(crate) const PIXELS: usize = 3 * SIZE * SIZE;
pub(crate) const IMAGES: usize = 5;
pub(crate) const TINY: Tiny = Tiny {
    size: SIZE,
    images: IMAGES,
    norm: Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] },
};
pub(crate) const ATTACKED: [&str; 6] = [
    "--maps",
    "maps.safetensors",
    "--perturbations",
    "perturbations.safetensors",
    "--epsilon",
    "0.25",
];

/// `explain` with `output` in `dir`, of its pack and model.
pub(crate) fn explain_to(dir: &Path, output: &str, flags: &[&str]) -> Output {
    let flags = [&INPUTS[..], &["--output", output], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_explain"), dir, &flags)
}

pub(crate) fn read(dir: &Path, name: &str) -> Maps {
    Maps::read(&dir.join(name)).unwrap()
}

/// Runs the stage, which must succeed, and reads what it wrote.
pub(crate) fn explained(dir: &Path, flags: &[&str]) -> Maps {
    let output = explain_to(dir, "explained.safetensors", flags);
    assert_succeeded(&output);
    assert!(output.stdout.is_empty());
    read(dir, "explained.safetensors")
}

/// What the library says of images.
pub(crate) fn expected(pixels: &[f32], target: Target<'_>) -> Explanation {
    TINY.explain(pixels, target)
}

/// Labels of which the network predicts all but those of samples 1 and 3.
pub(crate) fn labels() -> Vec<i64> {
    TINY.labels(&[1, 3])
}

/// Signs without any symmetry, of the samples in another order, of this pack and model.
pub(crate) fn write_perturbations(dir: &Path, sample: &[u32]) {
    let digest = |name: &str| artifact::digest(&dir.join(name)).unwrap();
    let provenance = Provenance::default()
        .with_input("data", digest("pack.safetensors"))
        .with_input("model", digest("model.safetensors"));
    Perturbations {
        directions: Directions::Signs(sample.iter().flat_map(|&s| signs(s)).collect()),
        sample: sample.to_vec(),
        height: SIZE,
        width: SIZE,
        provenance: Some(provenance),
    }
    .write(&dir.join("perturbations.safetensors"))
    .unwrap();
}

pub(crate) fn signs(sample: u32) -> Vec<u8> {
    (0..PIXELS / 8).map(|i| (i * 37 + sample as usize * 11) as u8).collect()
}

/// Pack, model, perturbations, and the clean maps that `explain` makes with the flags.
pub(crate) fn prepare(dir: &Path, flags: &[&str]) {
    TINY.write_pack(dir, Labels::Single(labels()));
    TINY.write_model(dir, LabelKind::Single);
    write_perturbations(dir, &[4, 3, 2, 1, 0]);
    assert_succeeded(&explain_to(dir, "maps.safetensors", flags));
}
