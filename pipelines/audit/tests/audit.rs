//! The stage as make sees it: files in, a table out, an exit code. That its rows are those
//! of attack, explain and score is tested beside them, in `tests/fused.rs`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use artifact::{
    LabelKind, Labels, ModelFile, ModelMeta, PackData, PackMeta, Provenance, Scores,
};
use candle_core::{Device, Tensor};
use explain::{GradCam, Target};
use models::{Arch, Network, Normalization};

const SIZE: usize = 16;
const IMAGES: usize = 5;
const CLASSES: i64 = 3;
const NORM: Normalization = Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] };
const EPSILON: [&str; 2] = ["--epsilon", "0.25"];

fn audit(dir: &Path, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audit"))
        .current_dir(dir)
        .args(["--progress", "none", "--data", "pack.safetensors"])
        .args(["--model", "model.safetensors", "--output", "scores.parquet"])
        .args(flags)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn audited(dir: &Path, flags: &[&str]) -> (Scores, Option<Provenance>) {
    let output = audit(dir, &[&EPSILON[..], flags].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    Scores::read(&dir.join("scores.parquet")).unwrap()
}

/// Asserts that the stage fails with one error of these words, and writes nothing.
fn refused(dir: &Path, flags: &[&str], code: i32, words: &[&str]) {
    let output = audit(dir, flags);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!dir.join("scores.parquet").exists());
}

fn classes() -> Vec<String> {
    ["cat", "dog", "cow"].map(String::from).to_vec()
}

fn bytes() -> Vec<u8> {
    (0..IMAGES * 3 * SIZE * SIZE).map(|i| (i * i % 253) as u8).collect()
}

fn write_pack(dir: &Path, labels: Labels) {
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
    Network::new(Arch::Resnet20, CLASSES as usize, NORM, 3).unwrap()
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

fn write_model(dir: &Path, network: &Network, meta: ModelMeta) {
    let tensors = network.state().unwrap();
    ModelFile { meta: Some(meta), tensors, provenance: Some(Provenance::default()) }
        .write(&dir.join("model.safetensors"))
        .unwrap();
}

/// What the network predicts of the images.
fn predicted() -> Vec<i64> {
    let pixels: Vec<f32> =
        bytes().into_iter().map(|byte| f32::from(byte) / 255.0).collect();
    let images = Tensor::from_vec(pixels, (IMAGES, 3, SIZE, SIZE), &Device::Cpu).unwrap();
    let network = network();
    let tap = network.resolve_tap(None).unwrap();
    explain::explain(&network, &GradCam, &tap, &images, Target::Predicted)
        .unwrap()
        .predicted
}

/// Labels of which the network predicts all but those of samples 1 and 3.
fn labels() -> Vec<i64> {
    let mut labels = predicted();
    for wrong in [1, 3] {
        labels[wrong] = (labels[wrong] + 1) % CLASSES;
    }
    labels
}

/// Model and pack.
fn prepare(dir: &Path) {
    write_pack(dir, Labels::Single(labels()));
    write_model(dir, &network(), meta());
}

/// A network that computes no number at all, and so predicts class 0.
fn broken() -> Network {
    let broken = network();
    let nan = Tensor::new(&[f32::NAN; 3], &Device::Cpu).unwrap();
    broken.parameters()["fc.bias"].set(&nan).unwrap();
    broken
}

#[test]
fn the_correctly_predicted_are_compared_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let (scores, provenance) = audited(dir.path(), &[]);
    assert_eq!(scores.sample, [0, 1, 2, 3, 4]);
    assert_eq!(scores.correct, [true, false, true, false, true]);
    let found: Vec<i64> = scores.predicted.iter().copied().map(i64::from).collect();
    assert_eq!(found, predicted());
    let compared: Vec<bool> =
        scores.predicted_perturbed.iter().map(Option::is_some).collect();
    assert_eq!(compared, scores.correct);
    assert_eq!([scores.consistency[1], scores.consistency[3]], [None; 2]);
    assert!(scores.distance[0].is_some_and(|distance| distance > 0.0));

    let provenance = provenance.unwrap();
    assert_eq!(provenance.stage, "audit");
    for (role, file) in [("data", "pack.safetensors"), ("model", "model.safetensors")] {
        let digest = artifact::digest(&dir.path().join(file)).unwrap();
        assert_eq!(provenance.of(role), Some(digest.as_str()));
    }
    let flags = [
        ("epsilon", "0.25"),
        ("epsilon-unit", "pixel"),
        ("explainer", "grad-cam"),
        ("psi", "tanh"),
        ("reduction", "grid"),
        ("target", "predicted"),
    ];
    let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(provenance.flags.into_iter().collect::<Vec<_>>(), flags);

    let output = audit(dir.path(), &EPSILON);
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = printed.lines().find(|line| line.starts_with("correct")).unwrap();
    assert!(line.contains('3') && line.contains("60.0"), "{printed}");
}

#[test]
fn equal_inputs_give_equal_bytes_and_batches_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let path = dir.path().join("scores.parquet");
    audited(dir.path(), &[]);
    let first = fs::read(&path).unwrap();
    for batch_size in ["1", "2", "64"] {
        audited(dir.path(), &["--batch-size", batch_size]);
        assert_eq!(fs::read(&path).unwrap(), first, "{batch_size}");
    }
}

#[test]
fn without_a_push_nothing_moves_and_that_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let labels = predicted();
    write_pack(dir.path(), Labels::Single(labels));
    write_model(dir.path(), &network(), meta());
    let output = audit(dir.path(), &["--epsilon", "0"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("100.0 % of the weights"), "{}", stderr(&output));
    let (scores, _) = Scores::read(&dir.path().join("scores.parquet")).unwrap();
    assert_eq!(scores.distance, [Some(0.0); IMAGES]);
    assert_eq!(scores.consistency, [Some(1.0); IMAGES]);
}

#[test]
fn without_a_correct_prediction_nothing_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let wrong = predicted().into_iter().map(|class| (class + 1) % CLASSES).collect();
    write_pack(dir.path(), Labels::Single(wrong));
    let (scores, _) = audited(dir.path(), &[]);
    assert_eq!(scores.correct, [false; IMAGES]);
    assert_eq!(scores.predicted_perturbed, [None; IMAGES]);
    assert_eq!(scores.consistency, [None; IMAGES]);
}

#[test]
fn a_gradient_that_is_not_finite_is_said_of_its_sample() {
    let dir = tempfile::tempdir().unwrap();
    write_model(dir.path(), &broken(), meta());
    write_pack(dir.path(), Labels::Single(vec![1, 2, 1, 0, 1]));
    let words = ["model.safetensors", "pack.safetensors", "finite gradient", "sample 3"];
    for batch_size in ["1", "2", "64"] {
        let flags = [&EPSILON[..], &["--batch-size", batch_size]].concat();
        refused(dir.path(), &flags, 1, &words);
    }
    // nobody asks for that of a misclassified one
    write_pack(dir.path(), Labels::Single(vec![1, 2, 1, 2, 1]));
    assert_eq!(audited(dir.path(), &[]).0.status, [2; IMAGES]);
}

#[test]
fn a_model_of_other_images_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let files = ["pack.safetensors", "model.safetensors"];
    let multi = ModelMeta { labels: Some(LabelKind::Multi), ..meta() };
    write_model(dir.path(), &network(), multi);
    let words = [&files[..], &["expected multi, found single"]].concat();
    refused(dir.path(), &EPSILON, 1, &words);
    let wide = ModelMeta { image_size: [SIZE, 32], ..meta() };
    write_model(dir.path(), &network(), wide);
    let words = [&files[..], &["expected 16x32, found 16x16"]].concat();
    refused(dir.path(), &EPSILON, 1, &words);
}

#[test]
fn a_tap_that_is_not_there_or_without_places_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    for (tap, words) in [("layer4", "layer3.2"), ("fc", "choose an earlier tap")] {
        let flags = [&EPSILON[..], &["--tap", tap]].concat();
        refused(dir.path(), &flags, 1, &[tap, words]);
    }
}

#[test]
fn a_wrong_usage_is_said() {
    let dir = tempfile::tempdir().unwrap();
    refused(dir.path(), &[], 2, &["--epsilon"]);
    for epsilon in ["nan", "inf", "-0.1", "much"] {
        let flag = format!("--epsilon={epsilon}");
        refused(dir.path(), &[&flag], 2, &["finite and at least 0"]);
    }
    for flags in [
        ["--epsilon-unit", "grey"],
        ["--explainer", "guess"],
        ["--target", "best"],
        ["--psi", "sigmoid"],
        ["--reduction", "max"],
        ["--batch-size", "0"],
    ] {
        refused(dir.path(), &[&EPSILON[..], &flags].concat(), 2, &flags);
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    refused(dir.path(), &EPSILON, 1, &["pack.safetensors"]);
    write_pack(dir.path(), Labels::Single(vec![0; IMAGES]));
    refused(dir.path(), &EPSILON, 1, &["model.safetensors"]);
}
