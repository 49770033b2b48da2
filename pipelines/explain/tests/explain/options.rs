//! Every method, target and smoothing, and what they would cost.

use artifact::{LabelKind, Labels};
use candle_core::{Device, safetensors::load};
use fixtures::{INPUTS, assert_refused, assert_succeeded};

use crate::setup::{ATTACKED, IMAGES, SIZE, TINY, explain_to, explained, prepare, read};

#[test]
fn every_method_explains_clean_and_perturbed_images() {
    let dir = tempfile::tempdir().unwrap();
    for (name, _) in explain::METHODS {
        prepare(dir.path(), &["--explainer", name]);
        let maps = read(dir.path(), "maps.safetensors");
        assert_eq!(maps.meta.explainer, name);
        let of_pixels = ["gradient", "smooth-grad", "integrated-gradients"].contains(&name);
        assert_eq!(maps.height == SIZE, of_pixels, "{name}");
        assert!(maps.maps.iter().all(|value| (0.0..=1.0).contains(value)), "{name}");

        let flags = [&ATTACKED[..], &["--explainer", name, "--batch-size", "2"]].concat();
        let perturbed = explained(dir.path(), &flags);
        assert_eq!(perturbed.sample, [0, 2, 4], "{name}");
    }
}

#[test]
fn a_class_may_be_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let class = TINY.meta(LabelKind::Single).classes[2].clone();
    let maps = explained(dir.path(), &["--target", &class]);
    assert_eq!(maps.target, [2; IMAGES]);
    assert_eq!(maps.meta.target, class);
}

#[test]
fn each_label_of_a_set_may_have_its_map() {
    let dir = tempfile::tempdir().unwrap();
    let hot = vec![1, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1];
    TINY.write_pack(dir.path(), Labels::Multi { classes: 3, hot });
    TINY.write_model(dir.path(), LabelKind::Multi);
    let flags = ["--target", "labels", "--batch-size", "2"];
    assert_succeeded(&explain_to(dir.path(), "explained.safetensors", &flags));
    let maps = load(dir.path().join("explained.safetensors"), &Device::Cpu).unwrap();
    let sample: Vec<u32> = maps["sample"].to_vec1().unwrap();
    let target: Vec<i64> = maps["target"].to_vec1().unwrap();
    assert_eq!(sample, [0, 0, 1, 3, 3, 3, 4]);
    assert_eq!(target, [0, 2, 1, 0, 1, 2, 2]);
    assert_eq!(maps["maps"].dim(0).unwrap(), 7);
    assert_eq!(maps["labels"].dims(), [7, 3]);
    // each as it is alone
    let class = TINY.meta(LabelKind::Multi).classes[2].clone();
    let alone = explained(dir.path(), &["--target", &class]);
    let third =
        maps["maps"].get(1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(third, alone.map(0));
    let flags = ["--target", "labels", "--overlay", "seen"];
    let words = ["--target labels makes several maps a sample"];
    assert_refused(&explain_to(dir.path(), "x.safetensors", &flags), 1, &words);
}

#[test]
fn smoothing_is_recorded_and_must_agree() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &["--smooth", "aug"]);
    let smooth = read(dir.path(), "maps.safetensors");
    assert_eq!(smooth.meta.smooth.as_deref(), Some("aug"));
    assert_ne!(smooth.maps, explained(dir.path(), &[]).maps);
    let words = ["maps.safetensors", "smoothing none, found aug"];
    assert_refused(&explain_to(dir.path(), "x.safetensors", &ATTACKED), 1, &words);
    let flags = [&ATTACKED[..], &["--smooth", "aug"]].concat();
    explained(dir.path(), &flags);
    let flags = ["--smooth", "eigen", "--explainer", "gradient"];
    let words = ["gradient weighs no channels", "or choose aug"];
    assert_refused(&explain_to(dir.path(), "x.safetensors", &flags), 1, &words);
}

#[test]
fn a_dry_run_tells_the_passes_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let flags = [&INPUTS[..], &["--dry-run", "--explainer", "ablation-cam"]].concat();
    let output = fixtures::run(env!("CARGO_BIN_EXE_explain"), dir.path(), &flags);
    assert_succeeded(&output);
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = "ablation-cam at layer3: 64 channels of 4x4\n\
                    a map     1 forward, 64 forward through the head\n\
                    5 maps, 64 at a time: 5 forward, 320 forward through the head\n";
    assert_eq!(said, expected);
    // of what would be drawn alone, and of nothing that would be refused
    let flags =
        [&INPUTS[..], &["--dry-run", "--overlay", "seen", "--samples", "1-2"]].concat();
    let output = fixtures::run(env!("CARGO_BIN_EXE_explain"), dir.path(), &flags);
    assert_succeeded(&output);
    assert!(String::from_utf8(output.stdout).unwrap().contains("\n2 maps, 64 at a time"));
    assert!(!dir.path().join("seen").exists());
    let flags = ["--dry-run", "--target", "zebra"];
    assert_refused(
        &explain_to(dir.path(), "x.safetensors", &flags),
        1,
        &["no class `zebra`"],
    );
    let output = explain_to(dir.path(), "x.safetensors", &["--dry-run"]);
    assert_succeeded(&output);
    assert!(!dir.path().join("x.safetensors").exists());
}
