//! The stage as make sees it: files in, a table out, an exit code. That its rows are those
//! of attack, explain and score is tested beside them, in `tests/fused.rs`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Output};

use artifact::{LabelKind, Labels, ModelMeta, Provenance, Scores, Weights};
use fixtures::{INPUTS, Tiny, assert_input, assert_succeeded, stderr};
use models::Normalization;

const SIZE: usize = 16;
const IMAGES: usize = 5;
const TINY: Tiny = Tiny {
    size: SIZE,
    images: IMAGES,
    norm: Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] },
};
const EPSILON: [&str; 2] = ["--epsilon", "0.25"];

fn audit(dir: &Path, flags: &[&str]) -> Output {
    let flags = [&INPUTS[..], &["--output", "scores.parquet"], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_audit"), dir, &flags)
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn audited(dir: &Path, flags: &[&str]) -> (Scores, Option<Provenance>) {
    assert_succeeded(&audit(dir, &[&EPSILON[..], flags].concat()));
    Scores::read(&dir.join("scores.parquet")).unwrap()
}

/// Asserts that the stage fails with one error of these words, and writes nothing.
fn refused(dir: &Path, flags: &[&str], code: i32, words: &[&str]) {
    fixtures::assert_refused(&audit(dir, flags), code, words);
    assert!(!dir.join("scores.parquet").exists());
}

fn write_pack(dir: &Path, labels: Vec<i64>) {
    TINY.write_pack(dir, Labels::Single(labels));
}

/// Model and pack; the network predicts all labels but those of samples 1 and 3.
fn prepare(dir: &Path) {
    write_pack(dir, TINY.labels(&[1, 3]));
    TINY.write_model(dir, LabelKind::Single);
}

#[test]
fn the_correctly_predicted_are_compared_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let (scores, provenance) = audited(dir.path(), &[]);
    assert_eq!(scores.sample, [0, 1, 2, 3, 4]);
    assert_eq!(scores.correct, [true, false, true, false, true]);
    let found: Vec<i64> = scores.predicted.iter().copied().map(i64::from).collect();
    assert_eq!(found, TINY.predicted());
    let compared: Vec<bool> =
        scores.predicted_perturbed.iter().map(Option::is_some).collect();
    assert_eq!(compared, scores.correct);
    assert_eq!([scores.consistency[1], scores.consistency[3]], [None; 2]);
    assert!(scores.distance[0].is_some_and(|distance| distance > 0.0));

    let provenance = provenance.unwrap();
    assert_eq!(provenance.stage, "audit");
    assert_input(&provenance, "data", &dir.path().join("pack.safetensors"));
    assert_input(&provenance, "model", &dir.path().join("model.safetensors"));
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

const UNLABELLED: [&str; 2] = ["--unlabelled", "weights.parquet"];

/// Weights by which samples 1 and 2 have no label, the second one a pseudo label.
fn write_weights(dir: &Path, samples: u32, provenance: &Provenance) {
    let weights = Weights {
        sample: (0..samples).rev().collect(),
        weight: vec![1.0; samples as usize],
        selected: (0..samples).rev().map(|sample| sample != 1).collect(),
        pseudo_label: (0..samples).rev().map(|s| (s == 2).then_some(0)).collect(),
    };
    weights.write(&dir.join("weights.parquet"), provenance).unwrap();
}

#[test]
fn of_a_sample_without_a_label_the_prediction_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let (gated, _) = audited(dir.path(), &[]);
    write_weights(dir.path(), IMAGES as u32, &Provenance::default());
    let (scores, provenance) = audited(dir.path(), &UNLABELLED);
    assert_eq!(scores.correct, [true, true, true, false, true]);
    assert_eq!(scores.label[1..3], scores.predicted[1..3]);
    assert!(scores.consistency[1].is_some() && scores.predicted_perturbed[1].is_some());
    assert!((scores.confidence[1] - (-scores.loss[1]).exp()).abs() < 1e-6);
    // labelled samples are judged as ever, and so is one that is predicted right
    for i in [0, 2, 3, 4] {
        assert_eq!(scores.distance[i], gated.distance[i], "{i}");
        assert_eq!(scores.loss[i], gated.loss[i], "{i}");
    }
    let weights = dir.path().join("weights.parquet");
    assert_input(&provenance.unwrap(), "unlabelled", &weights);

    let output = audit(dir.path(), &[&EPSILON[..], &UNLABELLED].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("unlabelled        2  counted as correct"), "{printed}");
}

#[test]
fn what_is_not_labelled_has_no_say_in_any_row() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    write_weights(dir.path(), IMAGES as u32, &Provenance::default());
    let classes = TINY.network().classes() as i64;
    for target in ["predicted", "label"] {
        let flags = [&UNLABELLED[..], &["--target", target]].concat();
        let (expected, _) = audited(dir.path(), &flags);
        for other in 0..classes {
            let mut labels = TINY.labels(&[1, 3]);
            (labels[1], labels[2]) = (other, (other + 1) % classes);
            write_pack(dir.path(), labels);
            for batch_size in ["1", "64"] {
                let flags = [&flags[..], &["--batch-size", batch_size]].concat();
                assert_eq!(audited(dir.path(), &flags).0, expected, "{other}");
            }
        }
    }
}

#[test]
fn weights_that_do_not_tell_who_is_labelled_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let flags = [&EPSILON[..], &UNLABELLED].concat();
    refused(dir.path(), &flags, 1, &["weights.parquet"]);
    write_weights(dir.path(), 4, &Provenance::default());
    refused(dir.path(), &flags, 1, &["weights.parquet", "none for sample 4"]);
    let other = Provenance::default().with_input("data", "dddd");
    write_weights(dir.path(), IMAGES as u32, &other);
    refused(dir.path(), &flags, 1, &["weights.parquet", "pack.safetensors", "dddd"]);

    write_weights(dir.path(), IMAGES as u32, &Provenance::default());
    let sets = Labels::Multi { classes: 3, hot: vec![1; 3 * IMAGES] };
    TINY.write_pack(dir.path(), sets);
    TINY.write_model(dir.path(), LabelKind::Multi);
    refused(dir.path(), &flags, 1, &["pack.safetensors", "--unlabelled", "sets"]);
}

#[test]
fn without_a_push_nothing_moves_and_that_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    write_pack(dir.path(), TINY.predicted());
    TINY.write_model(dir.path(), LabelKind::Single);
    let output = audit(dir.path(), &["--epsilon", "0"]);
    assert_succeeded(&output);
    assert!(stderr(&output).contains("100.0 % of the weights"), "{}", stderr(&output));
    let (scores, _) = Scores::read(&dir.path().join("scores.parquet")).unwrap();
    assert_eq!(scores.distance, [Some(0.0); IMAGES]);
    assert_eq!(scores.consistency, [Some(1.0); IMAGES]);
}

#[test]
fn masks_and_the_whole_image_disturb_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let distances = |flags: &[&str]| {
        assert_succeeded(&audit(dir.path(), flags));
        let scores = Scores::read(&dir.path().join("scores.parquet")).unwrap().0;
        assert_eq!(scores.correct, [true, false, true, false, true]);
        scores.distance
    };
    let everywhere = [&EPSILON[..], &["--everywhere"]].concat();
    let ways = [
        &EPSILON[..],
        &everywhere,
        &["--masking", "zero"],
        &["--masking", "mean"],
        &["--masking", "zero", "--everywhere"],
    ];
    let found = ways.map(distances);
    for (i, one) in found.iter().enumerate() {
        assert!(one[0].is_some() && one[1].is_none());
        assert!(!found[..i].contains(one), "{:?}", ways[i]);
    }
    fs::remove_file(dir.path().join("scores.parquet")).unwrap();
    let both = ["--masking", "zero", "--epsilon", "0.25"];
    refused(dir.path(), &both, 2, &["--masking", "--epsilon"]);
}

#[test]
fn without_a_correct_prediction_nothing_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    write_pack(dir.path(), TINY.labels(&[0, 1, 2, 3, 4]));
    let (scores, _) = audited(dir.path(), &[]);
    assert_eq!(scores.correct, [false; IMAGES]);
    assert_eq!(scores.predicted_perturbed, [None; IMAGES]);
    assert_eq!(scores.consistency, [None; IMAGES]);
}

#[test]
fn a_gradient_that_is_not_finite_is_said_of_its_sample() {
    let dir = tempfile::tempdir().unwrap();
    // computes no number at all, and so predicts class 0
    let broken = TINY.biased([f32::NAN; 3]);
    fixtures::write_model(dir.path(), &broken, Some(TINY.meta(LabelKind::Single)));
    write_pack(dir.path(), vec![1, 2, 1, 0, 1]);
    let words = ["model.safetensors", "pack.safetensors", "finite gradient", "sample 3"];
    for batch_size in ["1", "2", "64"] {
        let flags = [&EPSILON[..], &["--batch-size", batch_size]].concat();
        refused(dir.path(), &flags, 1, &words);
    }
    // nobody asks for that of a misclassified one
    write_pack(dir.path(), vec![1, 2, 1, 2, 1]);
    assert_eq!(audited(dir.path(), &[]).0.status, [2; IMAGES]);
}

#[test]
fn a_model_of_other_images_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let files = ["pack.safetensors", "model.safetensors"];
    TINY.write_model(dir.path(), LabelKind::Multi);
    let words = [&files[..], &["expected multi, found single"]].concat();
    refused(dir.path(), &EPSILON, 1, &words);
    let wide = ModelMeta { image_size: [SIZE, 32], ..TINY.meta(LabelKind::Single) };
    fixtures::write_model(dir.path(), &TINY.network(), Some(wide));
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
        ["--smooth", "more"],
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
    write_pack(dir.path(), vec![0; IMAGES]);
    refused(dir.path(), &EPSILON, 1, &["model.safetensors"]);
}
