//! The stage as make sees it: files in, a table out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Output};

use artifact::{Evaluation, LabelKind, Labels, Maps, PackData, Pairs};
use explain::{Explanation, Target};
use fixtures::{CLASSES, INPUTS, Tiny, assert_input, assert_succeeded, stderr, write_pack};
use models::Normalization;

const SIZE: usize = 16;
const AREA: usize = SIZE * SIZE;
const IMAGES: usize = 4;
const TINY: Tiny = Tiny {
    size: SIZE,
    images: IMAGES,
    norm: Normalization { mean: [0.5; 3], std: [0.25; 3] },
};
const GRAD_CAM: [&str; 2] = ["--explainer", "grad-cam"];

fn evaluate(dir: &Path, flags: &[&str]) -> Output {
    let flags = [&INPUTS[..], &["--output", "evaluation.parquet"], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_evaluate"), dir, &flags)
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn evaluated(dir: &Path, flags: &[&str]) -> Evaluation {
    assert_succeeded(&evaluate(dir, flags));
    Evaluation::read(&dir.join("evaluation.parquet")).unwrap().0
}

/// Asserts that the stage fails with one error of these words, and writes nothing.
fn refused(dir: &Path, flags: &[&str], code: i32, words: &[&str]) {
    fixtures::assert_refused(&evaluate(dir, flags), code, words);
    for name in ["evaluation.parquet", "maps.safetensors", "pairs.parquet"] {
        assert!(!dir.join(name).exists());
    }
}

/// What the library says of the images.
fn explained(target: Target<'_>) -> Explanation {
    TINY.explain(&TINY.pixels(), target)
}

/// Labels of which the network predicts all but that of sample 1.
fn labels() -> Vec<i64> {
    TINY.labels(&[1])
}

/// The pack and model of most tests; a mask covers each image with its label.
fn prepare(dir: &Path) -> PackData {
    let mut pack = TINY.pack(Labels::Single(labels()));
    let mask = |label: i64| vec![label as u8 + 1; AREA];
    pack.masks = Some(labels().into_iter().flat_map(mask).collect());
    write_pack(dir, &pack);
    TINY.write_model(dir, LabelKind::Single);
    pack
}

#[test]
fn predictions_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let mut pack = prepare(dir.path());
    pack.groups = Some(vec![1, 0, 1, 0]);
    write_pack(dir.path(), &pack);
    let found = evaluated(dir.path(), &[]);

    assert_eq!(found.get("top1", "all", None), Some(0.75));
    assert_eq!(found.get("top1", "group:1", None), Some(1.0));
    assert_eq!(found.get("top1", "group:0", None), Some(0.5));
    for (class, name) in (0..).zip(CLASSES) {
        let of_class = labels().iter().filter(|&&label| label == class).count();
        let value = found.get("top1", &format!("class:{name}"), None);
        // a class that does not occur has no row
        assert_eq!(value.is_some(), of_class > 0);
    }
    let logits = explained(Target::Predicted).logits;
    let losses = logits.chunks_exact(3).zip(labels());
    let losses = losses.map(|(z, label)| ops::softmax::cross_entropy(z, label as usize));
    let loss = losses.map(f64::from).sum::<f64>() / 4.0;
    assert!((found.get("loss", "all", None).unwrap() - loss).abs() < 1e-12);
    assert!(found.explainer.iter().all(Option::is_none));
}

#[test]
fn sets_of_labels_are_measured_by_average_precision() {
    let dir = tempfile::tempdir().unwrap();
    let logits = explained(Target::Predicted).logits;
    // the class cat has the two images that are most like it, dog the one that is least
    let by_class = |class: usize| {
        let mut order = [0, 1, 2, 3];
        order.sort_by(|&a: &usize, &b| {
            logits[b * 3 + class].total_cmp(&logits[a * 3 + class])
        });
        order
    };
    let mut hot = vec![0; IMAGES * 3];
    for image in &by_class(0)[..2] {
        hot[image * 3] = 1;
    }
    hot[by_class(1)[3] * 3 + 1] = 1;
    TINY.write_pack(dir.path(), Labels::Multi { classes: 3, hot });
    TINY.write_model(dir.path(), LabelKind::Multi);

    let found = evaluated(dir.path(), &[]);
    assert_eq!(found.get("map", "class:cat", None), Some(1.0));
    assert_eq!(found.get("map", "class:dog", None), Some(0.25));
    assert_eq!(found.get("map", "class:cow", None), None);
    assert_eq!(found.get("map", "all", None), Some(0.625));
    assert_eq!(found.get("top1", "all", None), None);
    assert!(found.get("loss", "all", None).is_some());
}

#[test]
fn maps_are_compared_with_masks_that_cover_everything() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let flags = [&GRAD_CAM[..], &["xgrad-cam", "--pairs", "pairs.parquet"]].concat();
    let found = evaluated(dir.path(), &flags);

    let explained = explained(Target::Given(&labels()));
    let native = (explained.height, explained.width);
    let above = |i: usize| {
        let map = explain::full_size(explained.map(i), native, (SIZE, SIZE));
        map.into_iter().filter(|&value| value > 0.5).count()
    };
    let areas: Vec<u64> = (0..IMAGES).map(|i| above(i) as u64).collect();
    let iou = areas.iter().sum::<u64>() as f64 / (IMAGES * AREA) as f64;
    let get = |metric| found.get(metric, "all", Some("grad-cam")).unwrap();
    assert!((get("miou_pairs") - iou).abs() < 1e-12);
    assert!((get("miou_fgbg") - iou / 2.0).abs() < 1e-12);
    for metric in ["pxap", "pointing", "energy"] {
        assert!((get(metric) - 1.0).abs() < 1e-12, "{metric}");
    }
    assert_eq!((get("flat"), get("not_finite")), (0.0, 0.0));
    // before global pooling the two methods are one
    let other = found.get("miou", "all", Some("xgrad-cam")).unwrap();
    assert!((get("miou") - other).abs() < 0.01);

    let (pairs, _) = Pairs::read(&dir.path().join("pairs.parquet")).unwrap();
    assert_eq!(pairs.sample, [0, 1, 2, 3]);
    assert_eq!(pairs.map_area, areas);
    assert_eq!(pairs.intersection, areas);
    assert_eq!(pairs.mask_area, [AREA as u64; IMAGES]);
    assert_eq!(pairs.union, [AREA as u64; IMAGES]);
    let names: Vec<_> = labels().iter().map(|&k| CLASSES[k as usize]).collect();
    assert_eq!(pairs.class, names);
}

#[test]
fn every_class_in_a_mask_is_explained_and_void_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut pack = prepare(dir.path());
    // image 0: cat and cow; image 1: void; image 2: background; image 3: dog
    let mut masks = vec![0; IMAGES * AREA];
    masks[..100].fill(1);
    masks[100..AREA].fill(3);
    masks[AREA..2 * AREA].fill(255);
    masks[3 * AREA..][..7].fill(2);
    pack.masks = Some(masks);
    write_pack(dir.path(), &pack);
    let flags = [&GRAD_CAM[..], &["--pairs", "pairs.parquet"]].concat();
    let found = evaluated(dir.path(), &flags);
    let (pairs, _) = Pairs::read(&dir.path().join("pairs.parquet")).unwrap();
    assert_eq!(pairs.sample, [0, 0, 3]);
    assert_eq!(pairs.class, ["cat", "cow", "dog"]);
    assert_eq!(pairs.mask_area, [100, 156, 7]);
    let row = found.metric.iter().position(|metric| metric == "miou").unwrap();
    assert_eq!((found.group[row].as_str(), found.count[row]), ("all", 3));
}

#[test]
fn the_maps_of_the_predictions_may_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let flags = [&GRAD_CAM[..], &["--maps-output", "maps.safetensors"]].concat();
    evaluated(dir.path(), &flags);
    let maps = Maps::read(&dir.path().join("maps.safetensors")).unwrap();
    let expected = explained(Target::Predicted);
    assert_eq!(maps.maps, expected.maps);
    assert_eq!(maps.logits, expected.logits);
    assert_eq!(maps.target, expected.predicted);
    assert_eq!(maps.sample, [0, 1, 2, 3]);
    assert_eq!(maps.labels, Labels::Single(labels()));
}

#[test]
fn without_masks_localisation_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    TINY.write_pack(dir.path(), Labels::Single(labels()));
    let output = evaluate(dir.path(), &GRAD_CAM);
    assert_succeeded(&output);
    assert!(stderr(&output).contains("no masks"), "{}", stderr(&output));
    let (found, _) = Evaluation::read(&dir.path().join("evaluation.parquet")).unwrap();
    assert!(found.explainer.iter().all(Option::is_none));

    fs::remove_file(dir.path().join("evaluation.parquet")).unwrap();
    let flags = [&GRAD_CAM[..], &["--pairs", "pairs.parquet"]].concat();
    refused(dir.path(), &flags, 1, &["--pairs", "pack.safetensors"]);
}

#[test]
fn equal_inputs_give_equal_bytes_and_batches_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let together = evaluated(dir.path(), &GRAD_CAM);
    let bytes = fs::read(dir.path().join("evaluation.parquet")).unwrap();
    evaluated(dir.path(), &GRAD_CAM);
    assert_eq!(fs::read(dir.path().join("evaluation.parquet")).unwrap(), bytes);
    let flags = [&GRAD_CAM[..], &["--batch-size", "1"]].concat();
    assert_eq!(evaluated(dir.path(), &flags), together);
}

#[test]
fn the_rows_of_all_images_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let printed = String::from_utf8(evaluate(dir.path(), &GRAD_CAM).stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("metric"), "{printed}");
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        ["top1", "all", "-", "0.7500", "4"]
    );
    assert!(lines.iter().any(|line| line.starts_with("miou_dataset")), "{printed}");
    assert!(!printed.contains("class:"), "{printed}");
}

#[test]
fn inputs_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    evaluated(dir.path(), &[]);
    let path = dir.path().join("evaluation.parquet");
    let provenance = Evaluation::read(&path).unwrap().1.unwrap();
    assert_input(&provenance, "data", &dir.path().join("pack.safetensors"));
    assert_input(&provenance, "model", &dir.path().join("model.safetensors"));
}

#[test]
fn a_network_that_is_not_finite_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let broken = TINY.biased([0.0, f32::NAN, 0.0]);
    fixtures::write_model(dir.path(), &broken, Some(TINY.meta(LabelKind::Single)));
    let words = ["model.safetensors", "finite logits, found NaN at sample 0"];
    refused(dir.path(), &GRAD_CAM, 1, &words);
}

#[test]
fn a_mask_of_no_class_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut pack = prepare(dir.path());
    pack.masks.as_mut().unwrap()[2 * AREA + 5] = 4;
    write_pack(dir.path(), &pack);
    refused(dir.path(), &[], 1, &["pack.safetensors", "0 to 3", "found 4 at sample 2"]);
}

#[test]
fn a_model_of_other_classes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut pack = prepare(dir.path());
    pack.meta.classes[2] = "hen".into();
    write_pack(dir.path(), &pack);
    refused(dir.path(), &[], 1, &["model.safetensors", "pack.safetensors", "hen"]);
}

#[test]
fn a_truncated_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["pack.safetensors", "model.safetensors"] {
        prepare(dir.path());
        let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
        file.set_len(200).unwrap();
        refused(dir.path(), &[], 1, &[name]);
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    refused(dir.path(), &["--explainer", "guess"], 2, &["guess", "grad-cam", "xgrad-cam"]);
    let tap = ["--explainer", "grad-cam", "--tap", "layer9"];
    refused(dir.path(), &tap, 1, &["layer9", "layer3"]);
    refused(dir.path(), &["--tap", "layer3"], 2, &["--explainer"]);
    refused(dir.path(), &["--maps-output", "maps.safetensors"], 2, &["--explainer"]);
}
