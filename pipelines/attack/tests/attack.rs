//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Output};

use artifact::{Directions, LabelKind, Labels, ModelMeta, Perturbations};
use attack::Target;
use fixtures::{INPUTS, Tiny, assert_input, assert_succeeded};
use models::Normalization;

const SIZE: usize = 8;
const TINY: Tiny =
    Tiny { size: SIZE, images: 3, norm: Normalization { mean: [0.5; 3], std: [0.25; 3] } };
const LABELS: [i64; 3] = [0, 2, 1];

fn attack(dir: &Path, flags: &[&str]) -> Output {
    let output = ["--output", "perturbations.safetensors"];
    let flags = [&INPUTS[..], &output, flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_attack"), dir, &flags)
}

/// Asserts that the stage failed with one error of these words, and wrote nothing.
fn refused(dir: &Path, output: &Output, code: i32, words: &[&str]) {
    fixtures::assert_refused(output, code, words);
    assert!(!dir.join("perturbations.safetensors").exists());
}

fn pack(dir: &Path) {
    TINY.write_pack(dir, Labels::Single(LABELS.to_vec()));
}

fn meta() -> ModelMeta {
    TINY.meta(LabelKind::Single)
}

fn model(dir: &Path, meta: Option<ModelMeta>) {
    fixtures::write_model(dir, &TINY.network(), meta);
}

fn read(dir: &Path) -> Perturbations {
    Perturbations::read(&dir.join("perturbations.safetensors"), (SIZE, SIZE)).unwrap()
}

fn expected(target: Target<'_>) -> Vec<u8> {
    let images = TINY.tensor(&TINY.pixels());
    attack::fgsm(&TINY.network(), &images, target)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

#[test]
fn the_signs_of_each_image_are_written() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    model(dir.path(), Some(meta()));

    let output = attack(dir.path(), &["--batch-size", "2"]);

    assert_succeeded(&output);
    assert!(output.stdout.is_empty());
    let found = read(dir.path());
    assert_eq!(found.directions, Directions::Signs(expected(Target::Single(&LABELS))));
    assert_eq!(found.sample, [0, 1, 2]);
    let provenance = found.provenance.unwrap();
    assert_eq!(provenance.stage, "attack");
    assert_input(&provenance, "data", &dir.path().join("pack.safetensors"));
    assert_input(&provenance, "model", &dir.path().join("model.safetensors"));
}

#[test]
fn equal_inputs_give_equal_bytes_and_batches_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    model(dir.path(), Some(meta()));
    let path = dir.path().join("perturbations.safetensors");
    assert!(attack(dir.path(), &[]).status.success());
    let first = fs::read(&path).unwrap();
    assert!(attack(dir.path(), &[]).status.success());
    assert_eq!(fs::read(&path).unwrap(), first);

    let together = read(dir.path()).directions;
    assert!(attack(dir.path(), &["--batch-size", "1"]).status.success());
    assert_eq!(read(dir.path()).directions, together);
}

#[test]
fn sets_of_classes_are_attacked_by_their_own_loss() {
    let dir = tempfile::tempdir().unwrap();
    let hot = vec![1, 0, 1, 0, 0, 0, 0, 1, 1];
    TINY.write_pack(dir.path(), Labels::Multi { classes: 3, hot: hot.clone() });
    model(dir.path(), Some(ModelMeta { labels: Some(LabelKind::Multi), ..meta() }));
    let output = attack(dir.path(), &[]);
    assert_succeeded(&output);
    let expected = expected(Target::Multi { classes: 3, hot: &hot });
    assert_eq!(read(dir.path()).directions, Directions::Signs(expected));
}

#[test]
fn a_plain_torchvision_file_needs_its_architecture() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    model(dir.path(), None);
    refused(dir.path(), &attack(dir.path(), &[]), 1, &["model.safetensors", "--arch"]);
    let wrong = attack(dir.path(), &["--arch", "resnet18"]);
    refused(dir.path(), &wrong, 1, &["model.safetensors", "resnet18"]);
    let unknown = attack(dir.path(), &["--arch", "resnet21"]);
    refused(dir.path(), &unknown, 2, &["resnet21", "resnet20"]);
    let output = attack(dir.path(), &["--arch", "resnet20"]);
    assert_succeeded(&output);
}

#[test]
fn a_model_of_other_images_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    let files = ["pack.safetensors", "model.safetensors"];

    model(dir.path(), Some(ModelMeta { labels: Some(LabelKind::Multi), ..meta() }));
    let output = attack(dir.path(), &[]);
    refused(
        dir.path(),
        &output,
        1,
        &[&files[..], &["expected multi, found single"]].concat(),
    );

    model(dir.path(), Some(ModelMeta { image_size: [SIZE, 16], ..meta() }));
    let output = attack(dir.path(), &[]);
    refused(dir.path(), &output, 1, &[&files[..], &["expected 8x16, found 8x8"]].concat());

    let other = ["cat", "dog", "hen"].map(String::from).to_vec();
    model(dir.path(), Some(ModelMeta { classes: other, ..meta() }));
    let output = attack(dir.path(), &[]);
    refused(dir.path(), &output, 1, &[&files[..], &["`hen`", "`cow`"]].concat());
}

#[test]
fn another_architecture_than_the_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    model(dir.path(), Some(meta()));
    let output = attack(dir.path(), &["--arch", "vgg16"]);
    refused(dir.path(), &output, 1, &["model.safetensors", "vgg16", "resnet20"]);
}

#[test]
fn a_model_that_is_not_a_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    fixtures::write_model(dir.path(), &TINY.biased([f32::NAN; 3]), Some(meta()));
    let output = attack(dir.path(), &[]);
    refused(dir.path(), &output, 1, &["model.safetensors", "finite gradient", "image 0"]);
}

#[test]
fn a_wrong_usage_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for flags in [["--batch-size", "0"], ["--epsilon", "0.1"]] {
        refused(dir.path(), &attack(dir.path(), &flags), 2, &[flags[0]]);
    }
}

#[test]
fn a_missing_pack_is_named() {
    let dir = tempfile::tempdir().unwrap();
    model(dir.path(), Some(meta()));
    refused(dir.path(), &attack(dir.path(), &[]), 1, &["pack.safetensors"]);
}
