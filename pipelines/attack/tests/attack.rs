//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use artifact::{
    Directions, LabelKind, Labels, ModelFile, ModelMeta, PackData, PackMeta, Perturbations,
    Provenance,
};
use attack::Target;
use candle_core::{Device, Tensor};
use models::{Arch, Network, Normalization};

const SIZE: usize = 8;
const IMAGES: usize = 3;
const LABELS: [i64; IMAGES] = [0, 2, 1];
const NORM: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

fn attack(dir: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_attack"))
        .current_dir(dir)
        .args(["--progress", "none", "--data", "pack.safetensors"])
        .args(["--model", "model.safetensors", "--output", "perturbations.safetensors"])
        .args(flags)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts that the stage failed with one error of these words, and wrote nothing.
fn refused(dir: &Path, output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!dir.join("perturbations.safetensors").exists());
}

fn classes() -> Vec<String> {
    ["cat", "dog", "cow"].map(String::from).to_vec()
}

fn bytes() -> Vec<u8> {
    (0..IMAGES * 3 * SIZE * SIZE).map(|i| (i * 97 % 256) as u8).collect()
}

fn pack(dir: &Path, labels: Labels) {
    let meta = PackMeta {
        dataset: "test".into(),
        split: "train".into(),
        classes: classes(),
        labels: labels.kind(),
        image_size: None,
    };
    let (images, masks, groups) = (bytes(), None, None);
    PackData { meta, height: SIZE, width: SIZE, images, labels, masks, groups }
        .write(&dir.join("pack.safetensors"), &Provenance::default())
        .unwrap();
}

fn network() -> Network {
    Network::new(Arch::Resnet20, 3, NORM, 5).unwrap()
}

fn meta() -> ModelMeta {
    ModelMeta {
        arch: "resnet20".into(),
        classes: classes(),
        image_size: [SIZE, SIZE],
        mean: NORM.mean,
        std: NORM.std,
        labels: Some(LabelKind::Single),
        round: 1,
        epoch: 4,
    }
}

fn model(dir: &Path, meta: Option<ModelMeta>) {
    let tensors = network().state().unwrap();
    ModelFile { meta, tensors, provenance: Some(Provenance::default()) }
        .write(&dir.join("model.safetensors"))
        .unwrap();
}

fn read(dir: &Path) -> Perturbations {
    Perturbations::read(&dir.join("perturbations.safetensors"), (SIZE, SIZE)).unwrap()
}

fn expected(target: Target<'_>) -> Vec<u8> {
    let pixels: Vec<f32> =
        bytes().into_iter().map(|byte| f32::from(byte) / 255.0).collect();
    let images = Tensor::from_vec(pixels, (IMAGES, 3, SIZE, SIZE), &Device::Cpu).unwrap();
    attack::fgsm(&network(), &images, target).unwrap().concat()
}

#[test]
fn the_signs_of_each_image_are_written() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path(), Labels::Single(LABELS.to_vec()));
    model(dir.path(), Some(meta()));

    let output = attack(dir.path(), &["--batch-size", "2"]);

    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let found = read(dir.path());
    assert_eq!(found.directions, Directions::Signs(expected(Target::Single(&LABELS))));
    assert_eq!(found.sample, [0, 1, 2]);
    let provenance = found.provenance.unwrap();
    assert_eq!(provenance.stage, "attack");
    for (role, file) in [("data", "pack.safetensors"), ("model", "model.safetensors")] {
        let digest = artifact::digest(&dir.path().join(file)).unwrap();
        assert_eq!(provenance.of(role), Some(digest.as_str()));
    }
}

#[test]
fn equal_inputs_give_equal_bytes_and_batches_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path(), Labels::Single(LABELS.to_vec()));
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
    pack(dir.path(), Labels::Multi { classes: 3, hot: hot.clone() });
    model(dir.path(), Some(ModelMeta { labels: Some(LabelKind::Multi), ..meta() }));
    let output = attack(dir.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = expected(Target::Multi { classes: 3, hot: &hot });
    assert_eq!(read(dir.path()).directions, Directions::Signs(expected));
}

#[test]
fn a_plain_torchvision_file_needs_its_architecture() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path(), Labels::Single(LABELS.to_vec()));
    model(dir.path(), None);
    refused(dir.path(), &attack(dir.path(), &[]), 1, &["model.safetensors", "--arch"]);
    let wrong = attack(dir.path(), &["--arch", "resnet18"]);
    refused(dir.path(), &wrong, 1, &["model.safetensors", "resnet18"]);
    let unknown = attack(dir.path(), &["--arch", "resnet21"]);
    refused(dir.path(), &unknown, 2, &["resnet21", "resnet20"]);
    let output = attack(dir.path(), &["--arch", "resnet20"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_model_of_other_images_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path(), Labels::Single(LABELS.to_vec()));
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
    pack(dir.path(), Labels::Single(LABELS.to_vec()));
    model(dir.path(), Some(meta()));
    let output = attack(dir.path(), &["--arch", "vgg16"]);
    refused(dir.path(), &output, 1, &["model.safetensors", "vgg16", "resnet20"]);
}

#[test]
fn a_model_that_is_not_a_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path(), Labels::Single(LABELS.to_vec()));
    let mut tensors = network().state().unwrap();
    let nan = Tensor::new(&[f32::NAN; 3], &Device::Cpu).unwrap();
    tensors.insert("fc.bias".into(), nan);
    ModelFile { meta: Some(meta()), tensors, provenance: None }
        .write(&dir.path().join("model.safetensors"))
        .unwrap();
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
