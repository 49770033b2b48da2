//! `audit` against attack, explain and score one after the other: the same rows, bit for bit.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use artifact::{Labels, Scores};
use fixtures::{CLASSES, INPUTS, Tiny, stderr};
use models::Normalization;

const IMAGES: usize = 7;
const TINY: Tiny = Tiny {
    size: 16,
    images: IMAGES,
    norm: Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] },
};
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

/// Runs a stage, which must succeed, in `dir`.
fn stage(dir: &Path, name: &str, output: &str, flags: &[&str]) {
    let program = root().join("target/release").join(name);
    let flags = [&["--output", output][..], flags].concat();
    let output = fixtures::run(program, dir, &flags);
    assert!(output.status.success(), "{name} {flags:?}: {}", stderr(&output));
}

/// A class an image: the predicted one, or the next.
fn single() -> Labels {
    Labels::Single(TINY.labels(&WRONG))
}

/// A set of classes an image: all of them, one or none.
fn multi() -> Labels {
    let classes = CLASSES.len();
    let mut hot = vec![0; IMAGES * classes];
    for (i, (hot, class)) in hot.chunks_exact_mut(classes).zip(TINY.predicted()).enumerate()
    {
        let class = class as usize;
        if i == WRONG[0] {
            hot[(class + 1) % classes] = 1;
        } else if i % 2 == 1 {
            hot[class] = 1;
        } else if i != WRONG[1] {
            hot.fill(1);
        }
    }
    Labels::Multi { classes, hot }
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
    for labels in [single(), multi()] {
        TINY.write_model(dir, labels.kind());
        TINY.write_pack(dir, labels);
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
