//! The stage on real datasets, which are not in this repository.
//!
//! Compiled with the feature `real-data` only. `CONSONANCE_DATA` names a folder that holds
//! the unpacked datasets; the numbers expected are those of these subsets.

#![cfg(feature = "real-data")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    env,
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::Command,
};

use artifact::{Label, Pack};

fn data(name: &str) -> PathBuf {
    let home =
        env::var_os("CONSONANCE_DATA").expect("CONSONANCE_DATA names the datasets' folder");
    PathBuf::from(home).join(name)
}

fn prepare(root: &Path, output: &Path, flags: &str) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_prepare"))
        .args(flags.split_whitespace())
        .args(["--progress", "none", "--root"])
        .arg(root)
        .arg("--output")
        .arg(output)
        .output()
        .unwrap();
    (done.status.success(), String::from_utf8(done.stderr).unwrap())
}

fn packs(root: &Path, flags: &str, splits: &[&str]) -> Vec<Pack> {
    let dir = tempfile::tempdir().unwrap();
    let (success, said) = prepare(root, dir.path(), flags);
    assert!(success, "{said}");
    let open = |split: &&str| {
        Pack::open(&dir.path().join(split).with_extension("safetensors")).unwrap()
    };
    splits.iter().map(open).collect()
}

fn counts(pack: &Pack) -> Vec<usize> {
    let mut counts = vec![0; pack.classes()];
    for row in 0..pack.len() {
        match pack.labels.row(row) {
            Label::Single(class) => counts[class as usize] += 1,
            Label::Multi(hot) => {
                counts
                    .iter_mut()
                    .zip(hot)
                    .for_each(|(count, &hot)| *count += usize::from(hot));
            }
        }
    }
    counts
}

/// The share of the pixels that are not void which are foreground.
fn foreground(pack: &Pack) -> f64 {
    let masks =
        || (0..pack.len()).flat_map(|row| pack.mask(row).unwrap()).filter(|&&v| v != 255);
    masks().filter(|&&v| v > 0).count() as f64 / masks().count() as f64
}

const SIX: &str = "--classes cat,cow,dog,horse,person,sheep";

#[test]
fn voc_shows_the_classes_it_is_known_for() {
    let flags =
        format!("--dataset voc {SIX} --labels multi --train-set trainaug --size 64");
    let packs = packs(&data("voc2012"), &flags, &["train", "test"]);
    assert_eq!((packs[0].len(), packs[1].len()), (2192, 311));
    assert_eq!(counts(&packs[0]), [700, 184, 826, 312, 402, 207]);
    assert_eq!(counts(&packs[1]), [83, 50, 90, 55, 55, 39]);
    let share = foreground(&packs[1]);
    assert!((share - 0.294).abs() < 0.03, "{share}");
}

#[test]
fn voc_is_labelled_with_the_largest_class() {
    let packs =
        packs(&data("voc2012"), &format!("--dataset voc {SIX}"), &["train", "test"]);
    assert_eq!(counts(&packs[0]), [91, 42, 72, 43, 17, 41]);
    assert_eq!(counts(&packs[1]), [77, 47, 77, 51, 21, 38]);
    let has_void =
        (0..packs[1].len()).any(|row| packs[1].mask(row).unwrap().contains(&255));
    assert!(has_void, "the official masks have a border");
}

#[test]
fn voc_in_its_original_sizes_is_cropped() {
    let flags = format!("--dataset voc {SIX} --fit crop --size 128");
    let packs = packs(&data("voc2012_fullsize_mini"), &flags, &["train", "test"]);
    assert_eq!(counts(&packs[0]), [9, 6, 6, 5, 1, 5]);
    assert_eq!(counts(&packs[1]), [5, 5, 8, 5, 0, 5]);
}

#[test]
fn a_folder_of_classes_may_hold_its_masks_beside_the_images() {
    let root = data("magnetic_tile");
    let flags = format!(
        "--dataset folder --masks {} --mask-threshold 127 --test-fraction 0.2 --size 64",
        root.display()
    );
    let packs = packs(&root, &flags, &["train", "test"]);
    // Blowhole, Break, Crack, Fray, Free, Uneven
    let both = counts(&packs[0]).into_iter().zip(counts(&packs[1])).map(|(a, b)| a + b);
    assert_eq!(both.collect::<Vec<_>>(), [69, 50, 48, 22, 305, 62]);
    for pack in packs {
        for row in 0..pack.len() {
            let mask = pack.mask(row).unwrap();
            let Label::Single(class) = pack.labels.row(row) else { panic!("one label") };
            assert!(mask.iter().all(|&v| i64::from(v) == class + 1 || v == 0));
            assert!(
                class != 4 || mask.iter().all(|&v| v == 0),
                "a free tile has no defect"
            );
        }
    }
}

#[test]
fn every_variant_of_the_backgrounds_has_its_masks() {
    for variant in [
        "original",
        "only_fg",
        "no_fg",
        "only_bg_b",
        "only_bg_t",
        "mixed_same",
        "mixed_rand",
        "mixed_next",
    ] {
        let flags = format!("--dataset backgrounds --variant {variant} --size 64");
        let packs = packs(&data("vocbg_derived"), &flags, &["train", "test"]);
        assert_eq!(packs[1].meta.classes, ["dog", "cat", "horse", "cow", "sheep"]);
        assert_eq!(counts(&packs[0]), [150, 150, 57, 53, 51], "{variant}");
        assert_eq!(counts(&packs[1]), [50; 5], "{variant}");
        assert!(packs[0].has_masks() && packs[1].has_masks(), "{variant}");
    }
}

#[test]
fn the_foreground_is_what_only_fg_shows() {
    let flags = "--dataset backgrounds --variant only_fg --size 128";
    let pack = packs(&data("vocbg_derived"), flags, &["test"]).pop().unwrap();
    let (mut inside, mut outside) = ((0u64, 0u64), (0u64, 0u64));
    for row in 0..pack.len() {
        for (&value, &mask) in pack.image(row).iter().zip(pack.mask(row).unwrap()) {
            let side = if mask > 0 { &mut inside } else { &mut outside };
            *side = (side.0 + u64::from(value), side.1 + 1);
        }
    }
    let mean = |side: (u64, u64)| side.0 as f64 / side.1 as f64;
    assert!(
        mean(inside) > 50.0 && mean(outside) < 3.0,
        "{} {}",
        mean(inside),
        mean(outside)
    );
}

#[test]
fn imagenet_9_has_no_training_images() {
    let pack =
        packs(&data("in9_original"), "--dataset backgrounds", &["test"]).pop().unwrap();
    assert_eq!(counts(&pack), [58, 26, 21, 18, 18, 14, 13, 10, 8]);
    assert_eq!(pack.meta.classes[6], "musical instrument");
    assert!(!pack.has_masks());
}

#[test]
fn birds_are_parted_by_their_list() {
    let packs = packs(&data("cub200_2010"), "--dataset cub", &["train", "test"]);
    assert_eq!(packs[0].len() + packs[1].len(), 176);
    assert_eq!(packs[0].classes(), 6);
    assert!(counts(&packs[0]).into_iter().chain(counts(&packs[1])).all(|count| count > 0));
}

/// `stl10_binary` as its owners publish it, but the training images are black.
#[expect(clippy::disallowed_methods, reason = "a fixture need not be atomic")]
fn stl10(dir: &Path) {
    let (labels, images) = (data("stl10/stl10_binary"), data("stl10/stl10_mini_binary"));
    for name in ["train_y.bin", "class_names.txt", "fold_indices.txt"] {
        fs::copy(labels.join(name), dir.join(name)).unwrap();
    }
    for name in ["test_X.bin", "test_y.bin"] {
        fs::copy(images.join(name), dir.join(name)).unwrap();
    }
    let train = File::create(dir.join("train_X.bin")).unwrap();
    train.set_len(5000 * 3 * 96 * 96).unwrap();
}

#[test]
fn a_fold_of_stl10_has_a_thousand_images_and_their_masks() {
    let dir = tempfile::tempdir().unwrap();
    stl10(dir.path());
    let masks = data("stl10/segmentation/train_mask16.bin");
    let flags = format!("--dataset stl10 --fold 9 --masks {}", masks.display());
    let packs = packs(dir.path(), &flags, &["train", "test"]);
    assert_eq!(packs[0].len(), 1000);
    assert_eq!(counts(&packs[0]).iter().sum::<usize>(), 1000);
    assert_eq!(counts(&packs[1]), [1; 10]);
    let share = foreground(&packs[0]);
    // 0.506 of the cells of all 5 000 masks.
    assert!((share - 0.506).abs() < 0.03, "{share}");
    // Neighbours in a photograph are alike, along rows and along columns.
    let image = packs[1].image(0);
    let steps = |stride: usize| -> u64 {
        (0..95 * 96).map(|at| u64::from(image[at].abs_diff(image[at + stride]))).sum()
    };
    assert!(
        steps(1) < 95 * 96 * 20 && steps(96) < 95 * 96 * 20,
        "{} {}",
        steps(1),
        steps(96)
    );
}

#[test]
fn stl10_without_its_images_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("packs");
    let (success, said) = prepare(&data("stl10"), &output, "--dataset stl10");
    assert!(
        !success && said.contains("error: no train_X.bin of stl10_binary.tar.gz"),
        "{said}"
    );

    stl10(dir.path());
    OpenOptions::new()
        .write(true)
        .open(dir.path().join("train_X.bin"))
        .unwrap()
        .set_len(4999 * 3 * 96 * 96)
        .unwrap();
    let (success, said) = prepare(dir.path(), &output, "--dataset stl10");
    assert!(!success && said.contains("expected 138240000 bytes"), "{said}");
}
