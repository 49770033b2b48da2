//! `--faithfulness` and `--sanity` as make sees them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Output};

use artifact::{Evaluation, LabelKind, Labels};
use candle_core::Tensor;
use fixtures::{INPUTS, Tiny, assert_refused, assert_succeeded, stderr};
use models::{Network, Normalization};

const IMAGES: usize = 4;
const TINY: Tiny = Tiny {
    size: 16,
    images: IMAGES,
    norm: Normalization { mean: [0.5; 3], std: [0.25; 3] },
};
const METRICS: [&str; 7] = [
    "insertion",
    "deletion",
    "average_drop",
    "average_increase",
    "road_morf",
    "road_lerf",
    "road",
];
/// The blocks of the network that have parameters, from its end.
const BLOCKS: [&str; 12] = [
    "fc", "layer3.2", "layer3.1", "layer3.0", "layer2.2", "layer2.1", "layer2.0",
    "layer1.2", "layer1.1", "layer1.0", "bn1", "conv1",
];
const GRAD_CAM: Option<&str> = Some("grad-cam");

fn evaluate(dir: &Path, flags: &[&str]) -> Output {
    let flags = [&INPUTS[..], &["--output", "evaluation.parquet"], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_evaluate"), dir, &flags)
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn evaluated(dir: &Path, flags: &[&str]) -> Evaluation {
    assert_succeeded(&evaluate(dir, flags));
    let found = Evaluation::read(&dir.join("evaluation.parquet")).unwrap().0;
    assert!(found.value.iter().all(|value| value.is_finite()));
    found
}

fn count(found: &Evaluation, metric: &str, group: &str) -> u64 {
    let row = (0..found.len())
        .find(|&i| found.metric[i] == metric && found.group[i] == group)
        .unwrap();
    found.count[row]
}

fn prepare(dir: &Path) {
    TINY.write_pack(dir, Labels::Single(TINY.labels(&[1])));
    TINY.write_model(dir, LabelKind::Single);
}

/// Writes a network which is the tiny one but for its last layer.
fn write_head(dir: &Path, weight: impl Fn(&Tensor) -> Tensor) {
    let network = TINY.network();
    let head = &network.parameters()["fc.weight"];
    head.set(&weight(head.as_tensor())).unwrap();
    write(dir, &network);
}

fn write(dir: &Path, network: &Network) {
    fixtures::write_model(dir, network, Some(TINY.meta(LabelKind::Single)));
}

#[test]
fn maps_are_faithful_within_the_range_of_each_measure() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let flags = ["--explainer", "grad-cam", "xgrad-cam", "--faithfulness"];
    let found = evaluated(dir.path(), &flags);
    for explainer in [GRAD_CAM, Some("xgrad-cam")] {
        let get = |metric| found.get(metric, "all", explainer).unwrap();
        for metric in ["insertion", "deletion", "average_drop", "average_increase"] {
            assert!((0.0..=1.0).contains(&get(metric)), "{metric}: {}", get(metric));
        }
        assert!(get("insertion") > 0.0 && get("deletion") > 0.0);
        for metric in ["road_morf", "road_lerf"] {
            assert!((-1.0..=1.0).contains(&get(metric)), "{metric}: {}", get(metric));
        }
        let combined = (get("road_lerf") - get("road_morf")) / 2.0;
        assert!((get("road") - combined).abs() < 1e-12);
        assert_eq!((get("faithfulness_flat"), get("faithfulness_not_finite")), (0.0, 0.0));
    }
    for metric in METRICS {
        assert_eq!(count(&found, metric, "all"), IMAGES as u64);
    }
}

#[test]
fn neither_runs_nor_batches_matter_and_the_seed_is_that_of_the_noise() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let flags = ["--explainer", "grad-cam", "--faithfulness", "--sanity"];
    let together = evaluated(dir.path(), &flags);
    let bytes = fs::read(dir.path().join("evaluation.parquet")).unwrap();
    evaluated(dir.path(), &flags);
    assert_eq!(fs::read(dir.path().join("evaluation.parquet")).unwrap(), bytes);
    for size in ["1", "3"] {
        let small = [&flags[..], &["--batch-size", size]].concat();
        assert_eq!(evaluated(dir.path(), &small), together);
    }
    let other = evaluated(dir.path(), &[&flags[..], &["--seed", "1"]].concat());
    for (metric, changes) in [("insertion", false), ("road", true)] {
        let get = |found: &Evaluation| found.get(metric, "all", GRAD_CAM).unwrap();
        assert_eq!(get(&other) != get(&together), changes, "{metric}");
    }
}

#[test]
fn random_blocks_lower_the_correlation() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    // the network was drawn from this seed: it must not be replaced by itself
    let found =
        evaluated(dir.path(), &["--explainer", "grad-cam", "--sanity", "--seed", "3"]);
    let rows = (0..found.len()).filter(|&i| found.metric[i] == "sanity_undefined");
    let groups: Vec<&str> = rows.map(|i| found.group[i].as_str()).collect();
    assert_eq!(groups, BLOCKS.map(|block| format!("layer:{block}")));
    assert!(found.get("sanity", "layer:fc", GRAD_CAM).is_some());
    for group in groups {
        let undefined = found.get("sanity_undefined", group, GRAD_CAM).unwrap();
        assert_eq!(count(&found, "sanity_undefined", group), IMAGES as u64);
        // with a random classifier some maps are nowhere positive
        if let Some(value) = found.get("sanity", group, GRAD_CAM) {
            assert!((-1.0..0.95).contains(&value), "{group}: {value}");
            let defined = count(&found, "sanity", group) as f64;
            assert_eq!((1.0 - undefined) * IMAGES as f64, defined);
        }
    }
    assert!(METRICS.iter().all(|metric| found.get(metric, "all", GRAD_CAM).is_none()));
}

#[test]
fn a_block_that_is_random_already_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let norm = TINY.norm;
    let network = Network::new(models::Arch::Resnet20, 3, norm, !5).unwrap();
    write(dir.path(), &network);
    let found =
        evaluated(dir.path(), &["--explainer", "grad-cam", "--sanity", "--seed", "5"]);
    for block in BLOCKS {
        let value = found.get("sanity", &format!("layer:{block}"), GRAD_CAM);
        assert!(value.is_none_or(|value| value == 1.0), "{block}: {value:?}");
    }
    assert_eq!(found.get("sanity", "layer:fc", GRAD_CAM), Some(1.0));
}

#[test]
fn flat_maps_are_counted_and_measure_nothing() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    // no activation speaks for any class
    write_head(dir.path(), |weight| weight.abs().unwrap().neg().unwrap());
    let flags = ["--explainer", "grad-cam", "--faithfulness", "--sanity"];
    let output = evaluate(dir.path(), &flags);
    assert_succeeded(&output);
    assert!(stderr(&output).contains("of 4 maps 4 are flat"), "{}", stderr(&output));
    let found = Evaluation::read(&dir.path().join("evaluation.parquet")).unwrap().0;
    assert_eq!(found.get("faithfulness_flat", "all", GRAD_CAM), Some(1.0));
    assert_eq!(count(&found, "faithfulness_flat", "all"), IMAGES as u64);
    for block in BLOCKS {
        let group = format!("layer:{block}");
        assert_eq!(found.get("sanity", &group, GRAD_CAM), None);
        assert_eq!(found.get("sanity_undefined", &group, GRAD_CAM), Some(1.0));
    }
    assert!(METRICS.iter().all(|metric| found.get(metric, "all", GRAD_CAM).is_none()));
}

#[test]
fn one_image_is_enough_and_may_be_of_many_labels() {
    let dir = tempfile::tempdir().unwrap();
    let one = Tiny { images: 1, ..TINY };
    one.write_pack(dir.path(), Labels::Multi { classes: 3, hot: vec![1, 0, 1] });
    one.write_model(dir.path(), LabelKind::Multi);
    let flags = ["--explainer", "grad-cam", "--faithfulness", "--sanity"];
    let found = evaluated(dir.path(), &flags);
    for metric in METRICS {
        assert_eq!(count(&found, metric, "all"), 1);
    }
    assert!(found.get("sanity_undefined", "layer:fc", GRAD_CAM).is_some());
}

#[test]
fn without_an_explainer_there_is_nothing_to_measure() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    for flag in ["--faithfulness", "--sanity"] {
        assert_refused(&evaluate(dir.path(), &[flag]), 2, &["--explainer"]);
        assert!(!dir.path().join("evaluation.parquet").exists());
    }
}
