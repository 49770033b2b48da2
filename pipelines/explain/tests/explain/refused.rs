//! What the stage refuses: files that do not belong together, and wrong flags.

use std::{fs, path::Path};

use artifact::{LabelKind, Labels, Maps};

use crate::setup::{ATTACKED, SIZE, TINY, explain_to, prepare, read, write_perturbations};

/// Asserts that the stage fails with one error of these words, and writes nothing.
fn refused(dir: &Path, flags: &[&str], code: i32, words: &[&str]) {
    let output = explain_to(dir, "refused.safetensors", flags);
    fixtures::assert_refused(&output, code, words);
    assert!(!dir.join("refused.safetensors").exists());
}

#[test]
fn files_of_another_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let other = TINY.biased([0.5; 3]);
    fixtures::write_model(dir.path(), &other, Some(TINY.meta(LabelKind::Single)));
    refused(dir.path(), &ATTACKED, 1, &["maps.safetensors", "model.safetensors"]);
    assert!(explain_to(dir.path(), "maps.safetensors", &[]).status.success());
    refused(dir.path(), &ATTACKED, 1, &["perturbations.safetensors", "model.safetensors"]);
}

#[test]
fn files_of_another_pack_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    TINY.write_pack(dir.path(), Labels::Single(TINY.labels(&[0, 1, 3])));
    refused(dir.path(), &ATTACKED, 1, &["maps.safetensors", "pack.safetensors", "data"]);

    // nor if nobody says what they are of
    let maps = read(dir.path(), "maps.safetensors");
    let maps = Maps { provenance: None, ..maps };
    maps.write(&dir.path().join("maps.safetensors")).unwrap();
    write_perturbations(dir.path(), &[0, 1, 2, 3, 4]);
    refused(
        dir.path(),
        &ATTACKED,
        1,
        &["maps.safetensors", "pack.safetensors", "sample 0"],
    );
}

#[test]
fn maps_made_in_another_manner_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &["--explainer", "xgrad-cam"]);
    let words = ["maps.safetensors", "explainer grad-cam, found xgrad-cam"];
    refused(dir.path(), &ATTACKED, 1, &words);

    prepare(dir.path(), &[]);
    let flags = [&ATTACKED[..], &["--target", "label"]].concat();
    refused(dir.path(), &flags, 1, &["maps.safetensors", "target label, found predicted"]);

    let attacked = explain_to(dir.path(), "attacked.safetensors", &ATTACKED);
    assert!(attacked.status.success());
    let flags = [&["--maps", "attacked.safetensors"], &ATTACKED[2..]].concat();
    refused(dir.path(), &flags, 1, &["attacked.safetensors", "epsilon 0.25"]);
}

#[test]
fn images_of_another_size_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let mut maps = read(dir.path(), "maps.safetensors");
    maps.meta.image_size = [SIZE, 8];
    maps.write(&dir.path().join("maps.safetensors")).unwrap();
    let words = ["maps.safetensors", "pack.safetensors", "16x16, found 16x8"];
    refused(dir.path(), &ATTACKED, 1, &words);
}

#[test]
fn a_missing_or_foreign_sample_is_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    write_perturbations(dir.path(), &[0, 1, 3, 4]);
    let words = ["perturbations.safetensors", "maps.safetensors", "lacks sample 2"];
    refused(dir.path(), &ATTACKED, 1, &words);
    write_perturbations(dir.path(), &[0, 1, 2, 3, 4, 5]);
    let words = ["perturbations.safetensors", "pack.safetensors", "no sample 5"];
    refused(dir.path(), &ATTACKED, 1, &words);
}

#[test]
fn a_truncated_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    for name in ["maps.safetensors", "perturbations.safetensors"] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(200).unwrap();
        refused(dir.path(), &ATTACKED, 1, &[name]);
        artifact::atomic::write_bytes(&path, &whole).unwrap();
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    refused(dir.path(), &["--explainer", "guess"], 2, &["guess", "grad-cam", "xgrad-cam"]);
    refused(dir.path(), &["--tap", "layer9"], 1, &["layer9", "layer3"]);
    refused(dir.path(), &["--tap", "fc"], 1, &["`fc`", "earlier tap"]);
}

#[test]
fn a_wrong_usage_is_said() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    refused(dir.path(), &ATTACKED[..2], 2, &["--perturbations", "--epsilon"]);
    refused(dir.path(), &ATTACKED[2..4], 2, &["--maps", "--epsilon"]);
    refused(dir.path(), &["--epsilon", "0.1"], 2, &["--maps", "--perturbations"]);
    for bad in ["-0.1", "NaN", "inf", "little"] {
        let epsilon = format!("--epsilon={bad}");
        let flags = [&ATTACKED[..4], &[&epsilon]].concat();
        refused(dir.path(), &flags, 2, &["finite and at least 0"]);
    }
    refused(dir.path(), &["--epsilon-unit", "inch"], 2, &["pixel", "normalized"]);
    refused(dir.path(), &["--target", "other"], 1, &["`other`", "predicted, label or one"]);
    refused(dir.path(), &["--batch-size", "0"], 2, &["--batch-size"]);
}
