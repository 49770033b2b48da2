//! `audit` against attack, explain and score one after the other: the same rows, bit for bit.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use artifact::{
    LabelKind, Labels, Maps, ModelFile, ModelMeta, PackData, PackMeta, Provenance, Scores,
};
use models::{Arch, Network, Normalization};

const SIZE: usize = 16;
const IMAGES: usize = 7;
const CLASSES: usize = 3;
/// The misclassified images, of which the second has no class at all in sets.
const WRONG: [usize; 2] = [1, 4];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Builds the stages, as make would for a run.
fn build() {
    let stages = ["attack", "explain", "score", "audit"];
    let mut make = Command::new("make");
    make.current_dir(root()).args(stages.map(|stage| format!("target/release/{stage}")));
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(variable);
    }
    let output = make.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a stage, which must succeed, in `dir`.
fn stage(dir: &Path, name: &str, output: &str, flags: &[&str]) {
    let output = Command::new(root().join("target/release").join(name))
        .current_dir(dir)
        .args(["--progress", "none", "--output", output])
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name} {flags:?}: {}", stderr(&output));
}

const INPUTS: [&str; 4] = ["--data", "pack.safetensors", "--model", "model.safetensors"];

fn classes() -> Vec<String> {
    ["cat", "dog", "cow"].map(String::from).to_vec()
}

fn write_pack(dir: &Path, labels: Labels) {
    let meta = PackMeta {
        dataset: "test".into(),
        split: "train".into(),
        classes: classes(),
        labels: labels.kind(),
        image_size: None,
    };
    let images = (0..IMAGES * 3 * SIZE * SIZE).map(|i| (i * i % 253) as u8).collect();
    let (masks, groups) = (None, None);
    PackData { meta, height: SIZE, width: SIZE, images, labels, masks, groups }
        .write(&dir.join("pack.safetensors"), &Provenance::default())
        .unwrap();
}

fn write_model(dir: &Path, labels: LabelKind) {
    let norm = Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] };
    let meta = ModelMeta {
        arch: "resnet20".into(),
        classes: classes(),
        image_size: [SIZE, SIZE],
        mean: norm.mean,
        std: norm.std,
        labels: Some(labels),
        round: 1,
        epoch: 4,
    };
    let tensors = Network::new(Arch::Resnet20, CLASSES, norm, 3).unwrap().state().unwrap();
    ModelFile { meta: Some(meta), tensors, provenance: Some(Provenance::default()) }
        .write(&dir.join("model.safetensors"))
        .unwrap();
}

/// What the network predicts of the images.
fn predicted(dir: &Path) -> Vec<i64> {
    write_pack(dir, Labels::Single(vec![0; IMAGES]));
    write_model(dir, LabelKind::Single);
    stage(dir, "explain", "maps.safetensors", &INPUTS);
    Maps::read(&dir.join("maps.safetensors")).unwrap().predicted
}

/// A class an image: the predicted one, or the next.
fn single(predicted: &[i64]) -> Labels {
    let mut labels = predicted.to_vec();
    for wrong in WRONG {
        labels[wrong] = (labels[wrong] + 1) % CLASSES as i64;
    }
    Labels::Single(labels)
}

/// A set of classes an image: all of them, one or none.
fn multi(predicted: &[i64]) -> Labels {
    let mut hot = vec![0; IMAGES * CLASSES];
    for (i, (hot, &class)) in hot.chunks_exact_mut(CLASSES).zip(predicted).enumerate() {
        let class = class as usize;
        if i == WRONG[0] {
            hot[(class + 1) % CLASSES] = 1;
        } else if i % 2 == 1 {
            hot[class] = 1;
        } else if i != WRONG[1] {
            hot.fill(1);
        }
    }
    Labels::Multi { classes: CLASSES, hot }
}

/// Every column of a row, floats as their bits.
type Row = (u32, [i32; 2], Option<i32>, bool, [u32; 3], [Option<u32>; 3], u8);

fn rows(dir: &Path, table: &str) -> Vec<Row> {
    let (scores, _) = Scores::read(&dir.join(table)).unwrap();
    let bits = |value: Option<f32>| value.map(f32::to_bits);
    let row = |i: usize| {
        (
            scores.sample[i],
            [scores.label[i], scores.predicted[i]],
            scores.predicted_perturbed[i],
            scores.correct[i],
            [scores.loss[i], scores.confidence[i], scores.entropy[i]].map(f32::to_bits),
            [scores.distance[i], scores.inconsistency[i], scores.consistency[i]].map(bits),
            scores.status[i],
        )
    };
    (0..scores.len()).map(row).collect()
}

/// Runs both ways with these flags, the one in several batch sizes, and compares.
fn compare(dir: &Path, explaining: &[&str], attacking: &[&str], scoring: &[&str]) {
    let explaining = [&INPUTS[..], explaining].concat();
    stage(dir, "explain", "maps.safetensors", &explaining);
    let parts =
        ["--maps", "maps.safetensors", "--perturbations", "perturbations.safetensors"];
    let perturbed = [&explaining[..], &parts, attacking].concat();
    stage(dir, "explain", "perturbed.safetensors", &perturbed);
    let parts = ["--clean", "maps.safetensors", "--perturbed", "perturbed.safetensors"];
    stage(dir, "score", "scores.parquet", &[&parts[..], scoring].concat());

    let staged = rows(dir, "scores.parquet");
    assert_eq!(staged.len(), IMAGES);
    let moved = staged.iter().filter(|row| row.5[0].is_some_and(|bits| bits != 0)).count();
    let correct = staged.iter().filter(|row| row.3).count();
    assert!(correct == IMAGES - WRONG.len() && moved > 0, "{staged:?}");
    for batch_size in ["1", "3", "64"] {
        let flags =
            [&explaining[..], attacking, scoring, &["--batch-size", batch_size]].concat();
        stage(dir, "audit", "audit.parquet", &flags);
        assert_eq!(rows(dir, "audit.parquet"), staged, "{flags:?}");
    }
}

/// Flags of the attack and of the score.
const WAYS: [([&str; 4], [&str; 4]); 2] = [
    (
        ["--epsilon", "0.1", "--epsilon-unit", "pixel"],
        ["--psi", "tanh", "--reduction", "grid"],
    ),
    (
        ["--epsilon", "0.05", "--epsilon-unit", "normalized"],
        ["--psi", "softsign", "--reduction", "sum"],
    ),
];

#[test]
fn the_rows_are_those_of_the_four_stages_bit_for_bit() {
    build();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let predicted = predicted(dir);
    for labels in [single(&predicted), multi(&predicted)] {
        write_model(dir, labels.kind());
        write_pack(dir, labels);
        stage(dir, "attack", "perturbations.safetensors", &INPUTS);
        for explainer in ["grad-cam", "xgrad-cam"] {
            for target in ["predicted", "label"] {
                let explaining = ["--explainer", explainer, "--target", target];
                for (attacking, scoring) in WAYS {
                    compare(dir, &explaining, &attacking, &scoring);
                }
            }
        }
        // where the attack, which knows no taps, takes a convolution and what follows as one
        for tap in ["layer2", "bn1", "conv1"] {
            compare(dir, &["--tap", tap], &["--epsilon", "0.1"], &["--reduction", "mean"]);
        }
    }
}
