//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{path::Path, process::Output};

use artifact::{LabelKind, Labels, PackData, PackMeta, Provenance, Scores, Weights};
use fixtures::{assert_input, assert_succeeded};

fn reweight(dir: &Path, flags: &[&str]) -> Output {
    let flags = [&["--output", "weights.parquet"][..], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_reweight"), dir, &flags)
}

const UNIFORM: [&str; 4] = ["--method", "uniform", "--data", "pack.safetensors"];

const CONSISTENCY: [&str; 4] = ["--method", "consistency", "--scores", "scores.parquet"];

fn read(dir: &Path) -> (Weights, Provenance) {
    let (weights, provenance) = Weights::read(&dir.join("weights.parquet")).unwrap();
    (weights, provenance.unwrap())
}

/// Asserts that the stage failed with this code and words, and wrote nothing.
fn refused(dir: &Path, output: &Output, code: i32, words: &[&str]) {
    fixtures::assert_refused(output, code, words);
    assert!(!dir.join("weights.parquet").exists());
}

fn pack(dir: &Path, images: usize) {
    let meta = PackMeta {
        dataset: "test".into(),
        split: "train".into(),
        classes: vec!["cat".into(), "dog".into()],
        labels: LabelKind::Single,
        image_size: None,
    };
    let pack = PackData {
        meta,
        height: 1,
        width: 1,
        images: vec![0; 3 * images],
        labels: Labels::Single(vec![0; images]),
        masks: None,
        groups: None,
    };
    fixtures::write_pack(dir, &pack);
}

fn of_data(digest: &str) -> Provenance {
    Provenance::default().with_input("data", digest)
}

/// Consistent, inconsistent, flipped, without a verdict, misclassified.
fn scores(dir: &Path, provenance: &Provenance) {
    let scores = Scores {
        sample: vec![2, 3, 5, 7, 11],
        label: vec![0; 5],
        predicted: vec![0, 0, 0, 0, 1],
        predicted_perturbed: vec![Some(0), Some(0), Some(1), Some(0), None],
        correct: vec![true, true, true, true, false],
        loss: vec![0.5; 5],
        confidence: vec![0.5; 5],
        entropy: vec![0.5; 5],
        distance: vec![Some(0.0), Some(3.0), Some(3.0), None, None],
        inconsistency: vec![Some(0.0), Some(0.75), Some(0.75), None, None],
        consistency: vec![Some(1.0), Some(0.25), Some(0.0), None, None],
        status: vec![0, 0, 0, 1, 0],
    };
    scores.write(&dir.join("scores.parquet"), provenance).unwrap();
}

fn previous(dir: &Path, sample: Vec<u32>, provenance: &Provenance) {
    let n = sample.len();
    let weights = Weights {
        weight: vec![0.125; n],
        selected: sample.iter().map(|&id| id != 5).collect(),
        pseudo_label: sample.iter().map(|&id| (id == 3).then_some(1)).collect(),
        sample,
    };
    weights.write(&dir.join("previous.parquet"), provenance).unwrap();
}

#[test]
fn before_the_first_round_every_sample_weighs_one() {
    for images in [1, 3] {
        let dir = tempfile::tempdir().unwrap();
        pack(dir.path(), images);
        let output = reweight(dir.path(), &UNIFORM);
        assert_succeeded(&output);
        let (weights, provenance) = read(dir.path());
        assert_eq!(weights.sample, (0..images as u32).collect::<Vec<_>>());
        assert_eq!(weights.weight, vec![1.0; images]);
        assert_eq!(weights.selected, vec![true; images]);
        assert_eq!(weights.pseudo_label, vec![None; images]);
        assert_input(&provenance, "data", &dir.path().join("pack.safetensors"));
    }
}

#[test]
fn scores_without_a_verdict_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut without = Scores {
        sample: vec![3],
        label: vec![0],
        predicted: vec![0],
        predicted_perturbed: vec![None],
        correct: vec![true],
        loss: vec![0.5],
        confidence: vec![0.5],
        entropy: vec![0.5],
        distance: vec![None],
        inconsistency: vec![None],
        consistency: vec![None],
        status: vec![0],
    };
    without.write(&dir.path().join("scores.parquet"), &Provenance::default()).unwrap();
    refused(
        dir.path(),
        &reweight(dir.path(), &CONSISTENCY),
        1,
        &["sample 3", "--perturbed"],
    );

    without.correct = vec![false];
    without.write(&dir.path().join("scores.parquet"), &Provenance::default()).unwrap();
    assert!(reweight(dir.path(), &CONSISTENCY).status.success());
}

#[test]
fn equation_four_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    scores(dir.path(), &of_data("dddd"));

    let output = reweight(dir.path(), &CONSISTENCY);

    assert_succeeded(&output);
    let (weights, provenance) = read(dir.path());
    assert_eq!(weights.sample, [2, 3, 5, 7, 11]);
    assert_eq!(weights.weight, [0.0, 0.75, 1.0, 1.0, 1.0]);
    assert_eq!(weights.selected, [true; 5]);
    assert_eq!(provenance.stage, "reweight");
    assert_eq!(provenance.of("data"), Some("dddd"));
    assert_input(&provenance, "scores", &dir.path().join("scores.parquet"));
    let printed = String::from_utf8(output.stdout).unwrap();
    for number in ["0.7500", "0.0000", "1.0000", "60.0 %"] {
        assert!(printed.contains(number), "{printed}");
    }
}

#[test]
fn a_floor_raises_the_lowest_weights() {
    let dir = tempfile::tempdir().unwrap();
    scores(dir.path(), &of_data("dddd"));
    let output = reweight(dir.path(), &[&CONSISTENCY[..], &["--floor", "0.5"]].concat());
    assert_succeeded(&output);
    let (weights, provenance) = read(dir.path());
    assert_eq!(weights.weight, [0.5, 0.875, 1.0, 1.0, 1.0]);
    assert_eq!(provenance.flags["floor"], "0.5");
}

#[test]
fn rivals_need_no_maps_and_ablations_do() {
    let dir = tempfile::tempdir().unwrap();
    let scores = Scores {
        sample: vec![0, 1],
        label: vec![0, 1],
        predicted: vec![0, 0],
        predicted_perturbed: vec![None; 2],
        correct: vec![true, false],
        loss: vec![0.5, 2.0],
        confidence: vec![0.75, 0.25],
        entropy: vec![0.5; 2],
        distance: vec![None; 2],
        inconsistency: vec![None; 2],
        consistency: vec![None; 2],
        status: vec![0; 2],
    };
    scores.write(&dir.path().join("scores.parquet"), &of_data("dddd")).unwrap();
    let of = |method: &str, more: &[&str]| {
        let flags = ["--method", method, "--scores", "scores.parquet"];
        reweight(dir.path(), &[&flags[..], more].concat())
    };
    for (method, more, expected) in [
        ("hard-negative", &[][..], [0.0, 1.0]),
        ("focal", &["--gamma", "1"][..], [0.25, 0.75]),
        // class 0 is pulled up by 0.25, down by 2 - 0.75, and its γ is 8.4: 4.2 · 0.25^8.4;
        // class 1 is never predicted: it is pulled up alone
        ("equalized-focal", &[][..], [0.000_036_808, 0.5625]),
    ] {
        assert_succeeded(&of(method, more));
        for (found, expected) in read(dir.path()).0.weight.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-8, "{method}: {found}, not {expected}");
        }
    }
    std::fs::remove_file(dir.path().join("weights.parquet")).unwrap();
    for method in ["consistency", "flip", "distance", "shuffled", "level"] {
        refused(dir.path(), &of(method, &[]), 1, &["sample 0", "--perturbed"]);
    }
    refused(dir.path(), &of("focal", &["--fraction", "0.5"]), 1, &["--fraction", "focal"]);
    refused(dir.path(), &of("hard-negative", &["--gamma", "2"]), 1, &["--gamma"]);
}

#[test]
fn selection_is_carried_over_but_no_weight_and_no_pseudo_label_is() {
    let dir = tempfile::tempdir().unwrap();
    scores(dir.path(), &of_data("dddd"));
    previous(dir.path(), vec![11, 7, 5, 3, 2], &of_data("dddd"));
    let flags = [&CONSISTENCY[..], &["--previous", "previous.parquet"]].concat();
    let output = reweight(dir.path(), &flags);
    assert_succeeded(&output);
    let (weights, _) = read(dir.path());
    assert_eq!(weights.weight, [0.0, 0.75, 1.0, 1.0, 1.0]);
    assert_eq!(weights.selected, [true, true, false, true, true]);
    assert_eq!(weights.pseudo_label, [None; 5]);
}

#[test]
fn weights_of_other_samples_or_another_pack_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    scores(dir.path(), &of_data("dddd"));
    let flags = [&CONSISTENCY[..], &["--previous", "previous.parquet"]].concat();
    let files = ["scores.parquet", "previous.parquet"];

    previous(dir.path(), vec![2, 3, 5, 7], &of_data("dddd"));
    let output = reweight(dir.path(), &flags);
    refused(dir.path(), &output, 1, &[&files[..], &["first sample 11"]].concat());

    previous(dir.path(), vec![2, 3, 5, 7, 11], &of_data("eeee"));
    let output = reweight(dir.path(), &flags);
    refused(dir.path(), &output, 1, &[&files[..], &["data", "dddd", "eeee"]].concat());
}

#[test]
fn a_missing_or_wrong_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    refused(dir.path(), &reweight(dir.path(), &UNIFORM), 1, &["pack.safetensors"]);
    refused(dir.path(), &reweight(dir.path(), &CONSISTENCY), 1, &["scores.parquet"]);
    pack(dir.path(), 2);
    let flags = ["--method", "consistency", "--scores", "pack.safetensors"];
    refused(dir.path(), &reweight(dir.path(), &flags), 1, &["pack.safetensors"]);
}

#[test]
fn flags_that_do_not_go_together_are_a_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path(), 2);
    scores(dir.path(), &of_data("dddd"));
    let wrong: [(&[&str], &str); 8] = [
        (&["--method", "uniform"], "--data"),
        (&["--method", "consistency"], "--scores"),
        (&["--method", "consistency", "--data", "pack.safetensors"], "--scores"),
        (&["--method", "uniform", "--scores", "scores.parquet"], "--data"),
        (&["--scores", "scores.parquet"], "--method"),
        (&[&UNIFORM[..], &["--floor", "0.5"]].concat(), "--floor"),
        (&[&UNIFORM[..], &["--scores", "scores.parquet"]].concat(), "--scores"),
        (&[&CONSISTENCY[..], &["--floor", "1"]].concat(), "--floor"),
    ];
    for (flags, word) in wrong {
        refused(dir.path(), &reweight(dir.path(), flags), 2, &[word]);
    }
}
