//! The stage as make sees it: a run's folder in, a page out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use artifact::{
    Evaluation, LabelKind, Labels, PackData, PackMeta, Provenance, Scores, Weights,
};

fn report(folder: &Path, extra: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_report"))
        .current_dir(folder)
        .args(["--run", "run", "--data", "pack.safetensors", "--test", "pack.safetensors"])
        .args(["--progress", "none", "--output", "page.html"])
        .args(extra)
        .output()
        .unwrap()
}

/// A pack of two images and a run of `rounds` rounds that left its tables only.
fn make(folder: &Path, rounds: u32) {
    let meta = PackMeta {
        dataset: "two".into(),
        split: "test".into(),
        classes: vec!["cat".into(), "dog".into()],
        labels: LabelKind::Single,
        image_size: Some([2, 2]),
    };
    let pack = PackData {
        meta,
        height: 2,
        width: 2,
        images: vec![7; 24],
        labels: Labels::Single(vec![0, 1]),
        masks: None,
        groups: None,
    };
    let provenance = Provenance { stage: "test".into(), ..Provenance::default() };
    pack.write(&folder.join("pack.safetensors"), &provenance).unwrap();
    for t in 1..=rounds {
        let round = folder.join(format!("run/{t}"));
        let mut evaluation = Evaluation::default();
        evaluation.push("top1", "all", None, 0.5 + f64::from(t) / 8.0, 2);
        evaluation.push("miou", "all", Some("grad-cam"), 0.25, 2);
        evaluation.write(&round.join("evaluation.parquet"), &provenance).unwrap();
        let scores = Scores {
            sample: vec![0, 1],
            label: vec![0, 1],
            predicted: vec![0, 1],
            predicted_perturbed: vec![Some(0), Some(0)],
            correct: vec![true, true],
            loss: vec![0.5; 2],
            confidence: vec![0.5; 2],
            entropy: vec![0.5; 2],
            distance: vec![Some(0.5), Some(2.0)],
            inconsistency: vec![Some(0.375), Some(0.75)],
            consistency: vec![Some(0.625), Some(0.0)],
            status: vec![0, 0],
        };
        scores.write(&round.join("scores.parquet"), &provenance).unwrap();
        let weights = Weights {
            sample: vec![0, 1],
            weight: vec![1.0, 0.5],
            selected: vec![true, true],
            pseudo_label: vec![None, None],
        };
        weights.write(&round.join("weights.parquet"), &provenance).unwrap();
    }
}

#[test]
fn the_rounds_are_printed_and_the_page_stands_on_its_own() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), 2);

    let output = report(folder.path(), &[]);

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    // one of two correct samples is flipped; the other has D = 0.375; weights 1 and 0.5
    let expected =
        "    2    75.0 %         –  0.2500         –   50.0 %    0.3750        0.750";
    assert_eq!(said.lines().last(), Some(expected), "{said}");
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("75.0 %"));
    assert!(!page.contains("http") && !page.contains("<script"), "not self-contained");
}

#[test]
fn maps_that_were_not_scored_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), 1);
    // left by an earlier run: the scores do not say that they were made of maps
    for name in ["maps", "perturbations", "perturbed-maps"] {
        let path = folder.path().join(format!("run/1/{name}.safetensors"));
        artifact::atomic::write_bytes(&path, b"of another model").unwrap();
    }
    let output = report(folder.path(), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("their examples are left out"), "{said}");
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("scores.parquet") && !page.contains("maps.safetensors"));
}

#[test]
fn fewer_rounds_can_be_shown_and_more_cannot() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), 2);
    let said = String::from_utf8(report(folder.path(), &["--rounds", "1"]).stdout).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");

    let output = report(folder.path(), &["--rounds", "3"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has 2 rounds, 3 were asked for"), "{said}");
}

#[test]
fn a_folder_without_rounds_is_said_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), 0);
    let output = report(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no round in run"));
    assert!(!folder.path().join("page.html").exists());
}
