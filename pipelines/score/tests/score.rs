//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{path::Path, process::Output};

use artifact::{Labels, Maps, MapsMeta, Provenance, Scores};
use fixtures::{assert_input, assert_refused, assert_succeeded, stderr};

fn score(dir: &Path, flags: &[&str]) -> Output {
    let files = ["--clean", "clean.safetensors", "--output", "scores.parquet"];
    fixtures::run(env!("CARGO_BIN_EXE_score"), dir, &[&files[..], flags].concat())
}

const BOTH: [&str; 2] = ["--perturbed", "perturbed.safetensors"];

/// Asserts that the stage failed with one error of these words, and wrote nothing.
fn refused(dir: &Path, output: &Output, words: &[&str]) {
    assert_refused(output, 1, words);
    assert!(!dir.join("scores.parquet").exists());
}

/// Logits of p = 1/4 for the other class and 3/4 for the predicted.
fn logits(predicted: &[i64]) -> Vec<f32> {
    let row = |&k: &i64| if k == 0 { [3f32.ln(), 0.0] } else { [0.0, 3f32.ln()] };
    predicted.iter().flat_map(row).collect()
}

fn maps(sample: &[u32], predicted: &[i64], labels: &[i64], maps: &[[f32; 2]]) -> Maps {
    Maps {
        meta: MapsMeta {
            explainer: "grad-cam".into(),
            tap: "layer4".into(),
            smooth: None,
            image_size: [1, 4],
            target: "predicted".into(),
            epsilon: None,
            epsilon_unit: None,
        },
        height: 1,
        width: 2,
        maps: maps.concat(),
        classes: 2,
        logits: logits(predicted),
        predicted: predicted.to_vec(),
        target: predicted.to_vec(),
        labels: Labels::Single(labels.to_vec()),
        sample: sample.to_vec(),
        status: vec![0; sample.len()],
        provenance: None,
    }
}

/// Kept, misclassified, flipped, flat once perturbed.
fn clean() -> Maps {
    maps(&[10, 11, 12, 13], &[0, 1, 1, 0], &[0, 0, 1, 0], &[[0.0, 1.0]; 4])
}

/// The correctly predicted ones, in another order.
fn perturbed() -> Maps {
    let mut maps =
        maps(&[13, 12, 10], &[0, 0, 0], &[0, 1, 0], &[[0.0, 0.0], [0.5, 1.0], [1.0, 1.0]]);
    maps.status[0] = 1;
    maps.meta.epsilon = Some(0.1);
    maps
}

fn write(dir: &Path, clean: &Maps, perturbed: &Maps) {
    clean.write(&dir.join("clean.safetensors")).unwrap();
    perturbed.write(&dir.join("perturbed.safetensors")).unwrap();
}

fn scores(dir: &Path) -> Scores {
    Scores::read(&dir.join("scores.parquet")).unwrap().0
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 1e-6, "{found:?} {expected:?}");
    }
}

#[test]
fn each_sample_is_judged_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &clean(), &perturbed());

    let output = score(dir.path(), &[&BOTH[..], &["--psi", "softsign"]].concat());

    assert_succeeded(&output);
    let scores = scores(dir.path());
    assert_eq!(scores.sample, [10, 11, 12, 13]);
    assert_eq!(scores.label, [0, 0, 1, 0]);
    assert_eq!(scores.predicted, [0, 1, 1, 0]);
    assert_eq!(scores.predicted_perturbed, [Some(0), None, Some(0), Some(0)]);
    assert_eq!(scores.correct, [true, false, true, true]);
    assert_eq!(scores.status, [0, 0, 0, 1]);
    // p of the label is 3/4 but for the misclassified one
    close(&scores.confidence, &[0.75, 0.25, 0.75, 0.75]);
    close(&scores.loss, &[0.287_682, 1.386_294, 0.287_682, 0.287_682]);
    close(&scores.entropy, &[0.562_335; 4]);
    // (1 − 0)² and (0.5 − 0)²; x/(1 + x); a flipped one has E = 0
    assert_eq!(scores.distance, [Some(1.0), None, Some(0.25), None]);
    assert_eq!(scores.inconsistency, [Some(0.5), None, Some(0.2), None]);
    assert_eq!(scores.consistency, [Some(0.5), None, Some(0.0), None]);

    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    for words in [&["correct", "3", "75.0"][..], &["flipped", "1", "33.3"], &["flat", "1"]]
    {
        let line = printed.lines().find(|line| line.starts_with(words[0])).unwrap();
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    assert!(!stderr(&output).contains("of the weights"), "{}", stderr(&output));
}

#[test]
fn the_norm_may_be_taken_over_the_pixels() {
    let dir = tempfile::tempdir().unwrap();
    // [0, 1] is 0, 1/4, 3/4, 1 at four pixels, and its mirror image the reverse:
    // the squared differences are 1, 1/4, 1/4, 1
    let clean = maps(&[0], &[0], &[0], &[[0.0, 1.0]]);
    write(dir.path(), &clean, &maps(&[0], &[0], &[0], &[[1.0, 0.0]]));
    for (reduction, distance) in [("grid", 2.0), ("sum", 2.5), ("mean", 0.625)] {
        let flags = [&BOTH[..], &["--reduction", reduction]].concat();
        assert!(score(dir.path(), &flags).status.success());
        let scores = scores(dir.path());
        close(&[scores.distance[0].unwrap()], &[distance]);
        close(&[scores.inconsistency[0].unwrap()], &[distance.tanh()]);
    }
}

#[test]
fn of_a_set_the_most_confident_class_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let mut clean = clean();
    clean.labels = Labels::Multi { classes: 2, hot: vec![1, 0, 1, 0, 1, 1, 0, 0] };
    let mut perturbed = perturbed();
    perturbed.labels = Labels::Multi { classes: 2, hot: vec![0, 0, 1, 1, 1, 0] };
    write(dir.path(), &clean, &perturbed);

    assert!(score(dir.path(), &BOTH).status.success());

    let scores = scores(dir.path());
    assert_eq!(scores.label, [0, 1, 1, 0]);
    assert_eq!(scores.label, scores.predicted);
    assert_eq!(scores.correct, [true, false, true, false]);
    // σ(ln 3); BCE of p = 3/4 and 1/2 is ln 4/3 or ln 4, and ln 2
    close(&scores.confidence, &[0.75; 4]);
    let (in_set, outside) = (0.490_415, 1.039_721);
    close(&scores.loss, &[in_set, outside, in_set, outside]);
    // (0.562335 + ln 2)/2
    close(&scores.entropy, &[0.627_741; 4]);
    assert_eq!(scores.predicted_perturbed, [Some(0), None, Some(0), None]);
}

#[test]
fn without_perturbed_maps_there_is_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    clean().write(&dir.path().join("clean.safetensors")).unwrap();
    assert!(score(dir.path(), &[]).status.success());
    let scores = scores(dir.path());
    assert_eq!(scores.consistency, [None; 4]);
    assert_eq!(scores.predicted_perturbed, [None; 4]);
    close(&scores.confidence, &[0.75, 0.25, 0.75, 0.75]);
}

#[test]
fn weights_that_will_all_be_equal_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let same = maps(&[0, 1], &[0, 0], &[0, 0], &[[0.0, 1.0]; 2]);
    write(dir.path(), &same, &same);
    let output = score(dir.path(), &BOTH);
    assert_succeeded(&output);
    let said = stderr(&output);
    for word in ["100.0 % of the weights", "--reduction", "--psi", "--epsilon-unit"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn provenance_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let of = |maps: Maps| Maps {
        provenance: Some(
            Provenance::default().with_input("data", "d1").with_input("model", "m1"),
        ),
        ..maps
    };
    write(dir.path(), &of(clean()), &of(perturbed()));
    assert!(score(dir.path(), &BOTH).status.success());
    let path = dir.path().join("scores.parquet");
    let provenance = Scores::read(&path).unwrap().1.unwrap();
    assert_eq!(provenance.stage, "score");
    assert_input(&provenance, "clean", &dir.path().join("clean.safetensors"));
    assert_eq!(provenance.of("data"), Some("d1"));
    assert_eq!(provenance.of("model"), Some("m1"));
    assert_eq!(provenance.flags["psi"], "tanh");
    assert_eq!(provenance.flags["reduction"], "grid");
}

#[test]
fn maps_of_another_model_or_pack_are_refused() {
    for role in ["model", "data"] {
        let dir = tempfile::tempdir().unwrap();
        let of = |maps: Maps, digest: &str| Maps {
            provenance: Some(Provenance::default().with_input(role, digest)),
            ..maps
        };
        write(dir.path(), &of(clean(), "aaaa"), &of(perturbed(), "bbbb"));
        let words = ["clean.safetensors", "perturbed.safetensors", role, "aaaa", "bbbb"];
        refused(dir.path(), &score(dir.path(), &BOTH), &words);
    }
}

#[test]
fn clean_maps_are_not_taken_for_perturbed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Maps { provenance: Some(Provenance::default()), ..clean() };
    write(dir.path(), &ours, &ours);
    let output = score(dir.path(), &BOTH);
    refused(dir.path(), &output, &["perturbed.safetensors", "found maps of clean ones"]);
}

#[test]
fn perturbed_images_composed_by_other_maps_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut perturbed = perturbed();
    perturbed.provenance = Some(Provenance::default().with_input("maps", "aaaa"));
    write(dir.path(), &clean(), &perturbed);
    let output = score(dir.path(), &BOTH);
    refused(dir.path(), &output, &["clean.safetensors", "perturbed.safetensors", "aaaa"]);
}

/// What makes good maps bad.
type Change = fn(&mut Maps);

#[test]
fn maps_made_in_another_manner_are_refused() {
    let changes: [(&str, Change); 4] = [
        ("explainer: expected grad-cam, found eigen-cam", |maps| {
            maps.meta.explainer = "eigen-cam".into();
        }),
        ("tap: expected layer4, found layer3", |maps| maps.meta.tap = "layer3".into()),
        ("image size: expected 1x4, found 2x4", |maps| maps.meta.image_size = [2, 4]),
        ("map size: expected 1x2, found 2x1", |maps| (maps.height, maps.width) = (2, 1)),
    ];
    for (words, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let mut perturbed = perturbed();
        change(&mut perturbed);
        write(dir.path(), &clean(), &perturbed);
        let words = ["clean.safetensors", "perturbed.safetensors", words];
        refused(dir.path(), &score(dir.path(), &BOTH), &words);
    }
}

#[test]
fn samples_that_do_not_join_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lacking = maps(&[10], &[0], &[0], &[[1.0, 1.0]]);
    write(dir.path(), &clean(), &lacking);
    refused(dir.path(), &score(dir.path(), &BOTH), &["lacks 2 samples", "first 12, 13"]);

    let stray = maps(&[10, 12, 13, 99], &[0; 4], &[0, 1, 0, 0], &[[1.0, 1.0]; 4]);
    write(dir.path(), &clean(), &stray);
    refused(dir.path(), &score(dir.path(), &BOTH), &["holds sample 99", "does not"]);

    let other = maps(&[10, 12, 13], &[0; 3], &[1, 1, 0], &[[1.0, 1.0]; 3]);
    write(dir.path(), &clean(), &other);
    refused(dir.path(), &score(dir.path(), &BOTH), &["sample 10", "of different packs"]);
}

#[test]
fn swapped_maps_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut swapped = clean();
    swapped.meta.epsilon = Some(0.1);
    write(dir.path(), &swapped, &perturbed());
    let output = score(dir.path(), &BOTH);
    refused(dir.path(), &output, &["clean.safetensors", "expected maps of clean images"]);
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    clean().write(&dir.path().join("clean.safetensors")).unwrap();
    refused(dir.path(), &score(dir.path(), &BOTH), &["perturbed.safetensors"]);
}

#[test]
fn an_unknown_psi_is_a_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &clean(), &perturbed());
    for flags in [["--psi", "sigmoid"], ["--reduction", "max"]] {
        let output = score(dir.path(), &flags);
        assert_refused(&output, 2, &[flags[1]]);
        assert!(!dir.path().join("scores.parquet").exists());
    }
}
