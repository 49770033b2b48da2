//! What sections IV-D and IV-F of the paper measure: weights of biased packs, and attacks.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{path::Path, process::Output};

use artifact::{Evaluation, LabelKind, Labels, Provenance, Weights, digest};
use fixtures::{INPUTS, Tiny, assert_input, assert_refused, assert_succeeded, write_pack};
use models::Normalization;

const TINY: Tiny =
    Tiny { size: 16, images: 5, norm: Normalization { mean: [0.5; 3], std: [0.25; 3] } };
const DEBIASING: [&str; 2] = ["--debiasing", "weights.parquet"];
const EPSILONS: [&str; 7] = ["0", "1/255", "2/255", "4/255", "8/255", "16/255", "25.5/255"];

fn evaluate(dir: &Path, flags: &[&str]) -> Output {
    let flags = [&INPUTS[..], &["--output", "evaluation.parquet"], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_evaluate"), dir, &flags)
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn evaluated(dir: &Path, flags: &[&str]) -> (Evaluation, Provenance) {
    assert_succeeded(&evaluate(dir, flags));
    let (found, provenance) = Evaluation::read(&dir.join("evaluation.parquet")).unwrap();
    (found, provenance.unwrap())
}

fn refused(dir: &Path, flags: &[&str], code: i32, words: &[&str]) {
    assert_refused(&evaluate(dir, flags), code, words);
    assert!(!dir.join("evaluation.parquet").exists());
}

/// Five images of which the network misclassifies sample 1; samples 2 and 4 have no bias.
fn prepare(dir: &Path) {
    let mut pack = TINY.pack(Labels::Single(TINY.labels(&[1])));
    pack.groups = Some(vec![1, 1, 0, 1, 0]);
    write_pack(dir, &pack);
    TINY.write_model(dir, LabelKind::Single);
}

fn weights(dir: &Path, weight: [f32; 5], selected: [bool; 5]) {
    let weights = Weights {
        sample: vec![0, 1, 2, 3, 4],
        weight: weight.to_vec(),
        selected: selected.to_vec(),
        pseudo_label: vec![None; 5],
    };
    let of = digest(&dir.join("pack.safetensors")).unwrap();
    let provenance = Provenance::default().with_input("data", of);
    weights.write(&dir.join("weights.parquet"), &provenance).unwrap();
}

#[test]
fn unbiased_samples_are_counted_at_the_top_of_the_weights() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    // a fifth of five is one sample
    let share = |weight, selected| {
        weights(dir, weight, selected);
        let (found, provenance) = evaluated(dir, &DEBIASING);
        assert_input(&provenance, "weights", &dir.join("weights.parquet"));
        let of = |metric| found.get(metric, "all", None).unwrap();
        (of("debiasing"), of("debiasing_chance"))
    };
    assert_eq!(share([0.1, 0.2, 0.9, 0.3, 0.4], [true; 5]), (1.0, 0.4));
    assert_eq!(share([0.1, 0.9, 0.2, 0.3, 0.4], [true; 5]), (0.0, 0.4));
    assert_eq!(share([1.0; 5], [true; 5]), (0.4, 0.4));
    // who is not selected is not weighed: of samples 0 to 3 one is unbiased
    let four = [true, true, true, true, false];
    assert_eq!(share([0.1, 0.2, 0.3, 0.2, 0.9], four), (1.0, 0.25));
}

#[test]
fn weights_of_another_pack_and_packs_without_groups_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    refused(dir, &DEBIASING, 1, &["weights.parquet"]);
    weights(dir, [1.0; 5], [true; 5]);
    TINY.write_pack(dir, Labels::Single(TINY.labels(&[1])));
    refused(dir, &DEBIASING, 1, &["pack.safetensors", "groups", "--bias"]);
    let mut other = TINY.pack(Labels::Single(TINY.labels(&[2])));
    other.groups = Some(vec![1, 1, 0, 1, 0]);
    write_pack(dir, &other);
    refused(dir, &DEBIASING, 1, &["weights.parquet", "pack.safetensors"]);
}

#[test]
fn accuracy_under_attack_is_of_what_all_classify_correctly() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let (alone, _) = evaluated(dir, &["--robustness"]);
    let of = |metric: &str, epsilon: &str| {
        let row = alone.metric.iter().zip(&alone.group).position(|(found, group)| {
            found == metric && *group == format!("epsilon:{epsilon}")
        });
        row.map(|row| (alone.value[row], alone.count[row])).unwrap()
    };
    for metric in ["fgsm", "pgd"] {
        assert_eq!(of(metric, "0"), (1.0, 4));
        for epsilon in EPSILONS {
            let (value, count) = of(metric, epsilon);
            assert!(
                count == 4 && (0.0..=1.0).contains(&value),
                "{metric} {epsilon}: {value}"
            );
        }
    }

    // a network that always says what sample 0 is
    let mut bias = [0.0; 3];
    bias[TINY.predicted()[0] as usize] = 1e4;
    let (constant, meta) = (TINY.biased(bias), TINY.meta(LabelKind::Single));
    let folder = dir.join("other");
    fixtures::write_model(&folder, &constant, Some(meta));
    let flags = ["--robustness", "--reference", "other/model.safetensors"];
    let (found, provenance) = evaluated(dir, &flags);
    let common = TINY.labels(&[1]).iter().filter(|&&y| y == TINY.predicted()[0]).count();
    let row = found.metric.iter().position(|metric| metric == "fgsm").unwrap();
    assert_eq!(found.count[row], common as u64);
    assert_input(&provenance, "reference", &folder.join("model.safetensors"));
}

#[test]
fn without_a_common_sample_or_a_single_label_there_is_nothing_to_attack() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    TINY.write_pack(dir, Labels::Single(TINY.labels(&[0, 1, 2, 3, 4])));
    TINY.write_model(dir, LabelKind::Single);
    refused(dir, &["--robustness"], 1, &["no sample", "pack.safetensors"]);
    refused(dir, &["--reference", "model.safetensors"], 2, &["--robustness"]);
    let labels = TINY.labels(&[]);
    let hot = labels.iter().flat_map(|&y| (0..3).map(move |k| u8::from(k == y)));
    TINY.write_pack(dir, Labels::Multi { classes: 3, hot: hot.collect() });
    TINY.write_model(dir, LabelKind::Multi);
    refused(dir, &["--robustness"], 1, &["one label an image"]);
}
