//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use artifact::{
    Directions, LabelKind, Labels, Maps, ModelFile, ModelMeta, PackData, PackMeta,
    Perturbations, Provenance,
};
use attack::EpsilonUnit;
use candle_core::{Device, Tensor};
use explain::{Explanation, GradCam, Target};
use models::{Arch, Network, Normalization};

const SIZE: usize = 16;
const PIXELS: usize = 3 * SIZE * SIZE;
const IMAGES: usize = 5;
const CLASSES: i64 = 3;
const NORM: Normalization = Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] };
const ATTACKED: [&str; 6] = [
    "--maps",
    "maps.safetensors",
    "--perturbations",
    "perturbations.safetensors",
    "--epsilon",
    "0.25",
];

/// `explain` with `output` in `dir`, of its pack and model.
fn explain_to(dir: &Path, output: &str, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_explain"))
        .current_dir(dir)
        .args(["--progress", "none", "--data", "pack.safetensors"])
        .args(["--model", "model.safetensors", "--output", output])
        .args(flags)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn read(dir: &Path, name: &str) -> Maps {
    Maps::read(&dir.join(name)).unwrap()
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn explained(dir: &Path, flags: &[&str]) -> Maps {
    let output = explain_to(dir, "explained.safetensors", flags);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    read(dir, "explained.safetensors")
}

/// Asserts that the stage fails with one error of these words, and writes nothing.
fn refused(dir: &Path, flags: &[&str], code: i32, words: &[&str]) {
    let output = explain_to(dir, "refused.safetensors", flags);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!dir.join("refused.safetensors").exists());
}

fn bytes() -> Vec<u8> {
    (0..IMAGES * PIXELS).map(|i| (i * i % 253) as u8).collect()
}

fn pixels() -> Vec<f32> {
    bytes().into_iter().map(|byte| f32::from(byte) / 255.0).collect()
}

fn images(pixels: &[f32]) -> Tensor {
    let shape = (pixels.len() / PIXELS, 3, SIZE, SIZE);
    Tensor::from_slice(pixels, shape, &Device::Cpu).unwrap()
}

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
    let (images, masks, groups) = (bytes(), None, None);
    PackData { meta, height: SIZE, width: SIZE, images, labels, masks, groups }
        .write(&dir.join("pack.safetensors"), &Provenance::default())
        .unwrap();
}

fn network() -> Network {
    Network::new(Arch::Resnet20, CLASSES as usize, NORM, 3).unwrap()
}

fn write_model(dir: &Path, network: &Network, labels: LabelKind) {
    let meta = ModelMeta {
        arch: "resnet20".into(),
        classes: classes(),
        image_size: [SIZE, SIZE],
        mean: NORM.mean,
        std: NORM.std,
        labels: Some(labels),
        round: 1,
        epoch: 4,
    };
    let tensors = network.state().unwrap();
    ModelFile { meta: Some(meta), tensors, provenance: Some(Provenance::default()) }
        .write(&dir.join("model.safetensors"))
        .unwrap();
}

/// What the library says of images.
fn expected(pixels: &[f32], target: Target<'_>) -> Explanation {
    let network = network();
    let tap = network.resolve_tap(None).unwrap();
    explain::explain(&network, &GradCam, &tap, &images(pixels), target).unwrap()
}

/// Labels of which the network predicts all but those of samples 1 and 3.
fn labels() -> Vec<i64> {
    let mut labels = expected(&pixels(), Target::Predicted).predicted;
    for wrong in [1, 3] {
        labels[wrong] = (labels[wrong] + 1) % CLASSES;
    }
    labels
}

const CORRECT: [u32; 3] = [0, 2, 4];

/// Signs without any symmetry, of the samples in another order, of this pack and model.
fn write_perturbations(dir: &Path, sample: &[u32]) {
    let digest = |name: &str| artifact::digest(&dir.join(name)).unwrap();
    let provenance = Provenance::default()
        .with_input("data", digest("pack.safetensors"))
        .with_input("model", digest("model.safetensors"));
    Perturbations {
        directions: Directions::Signs(sample.iter().flat_map(|&s| signs(s)).collect()),
        sample: sample.to_vec(),
        height: SIZE,
        width: SIZE,
        provenance: Some(provenance),
    }
    .write(&dir.join("perturbations.safetensors"))
    .unwrap();
}

fn signs(sample: u32) -> Vec<u8> {
    (0..PIXELS / 8).map(|i| (i * 37 + sample as usize * 11) as u8).collect()
}

/// Pack, model, perturbations, and the clean maps that `explain` makes with the flags.
fn prepare(dir: &Path, flags: &[&str]) {
    write_pack(dir, Labels::Single(labels()));
    write_model(dir, &network(), LabelKind::Single);
    write_perturbations(dir, &[4, 3, 2, 1, 0]);
    let output = explain_to(dir, "maps.safetensors", flags);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn every_image_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let maps = explained(dir.path(), &["--batch-size", "2"]);

    let expected = expected(&pixels(), Target::Predicted);
    assert_eq!(maps.maps, expected.maps);
    assert_eq!(maps.logits, expected.logits);
    assert_eq!(maps.predicted, expected.predicted);
    assert_eq!(maps.target, expected.predicted);
    assert_eq!(maps.sample, [0, 1, 2, 3, 4]);
    assert_eq!(maps.labels, Labels::Single(labels()));
    assert_eq!(maps.status, [0; IMAGES]);
    assert_eq!(
        (maps.meta.explainer.as_str(), maps.meta.image_size),
        ("grad-cam", [SIZE; 2])
    );
    assert_eq!(maps.meta.tap, network().resolve_tap(None).unwrap().name());
    let provenance = maps.provenance.unwrap();
    for (role, file) in [("data", "pack.safetensors"), ("model", "model.safetensors")] {
        let digest = artifact::digest(&dir.path().join(file)).unwrap();
        assert_eq!(provenance.of(role), Some(digest.as_str()));
    }
}

#[test]
fn equal_inputs_give_equal_bytes_and_batches_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let together = explained(dir.path(), &[]);
    let bytes = fs::read(dir.path().join("explained.safetensors")).unwrap();
    assert_eq!(fs::read(dir.path().join("maps.safetensors")).unwrap(), bytes);
    let alone = explained(dir.path(), &["--batch-size", "1"]);
    assert_eq!(Maps { provenance: None, ..alone }, Maps { provenance: None, ..together });

    let together = explained(dir.path(), &ATTACKED);
    let flags = [&ATTACKED[..], &["--batch-size", "1"]].concat();
    let alone = explained(dir.path(), &flags);
    assert_eq!(Maps { provenance: None, ..alone }, Maps { provenance: None, ..together });
}

#[test]
fn the_label_may_be_explained_instead() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let maps = explained(dir.path(), &["--target", "label"]);
    assert_eq!(maps.target, labels());
    assert_eq!(maps.maps, expected(&pixels(), Target::Given(&labels())).maps);
    assert_eq!(maps.meta.target, "label");
}

#[test]
fn of_a_set_the_label_of_the_highest_confidence_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let logits = expected(&pixels(), Target::Predicted).logits;
    // all but the highest are in the set; the set of the last image is empty
    let mut hot = vec![1; IMAGES * 3];
    let mut second = Vec::new();
    for (hot, z) in hot.chunks_exact_mut(3).zip(logits.chunks_exact(3)) {
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
        hot[order[0]] = 0;
        second.push(order[1] as i64);
    }
    hot[12..].fill(0);
    second[4] = expected(&pixels(), Target::Predicted).predicted[4];
    write_pack(dir.path(), Labels::Multi { classes: 3, hot });
    write_model(dir.path(), &network(), LabelKind::Multi);
    assert_eq!(explained(dir.path(), &["--target", "label"]).target, second);
}

#[test]
fn the_correctly_predicted_images_are_explained_under_attack() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let clean = read(dir.path(), "maps.safetensors");
    for (unit, unit_name) in
        [(EpsilonUnit::Pixel, "pixel"), (EpsilonUnit::Normalized, "normalized")]
    {
        let flags = [&ATTACKED[..], &["--epsilon-unit", unit_name]].concat();
        let maps = explained(dir.path(), &flags);

        let mut perturbed = Vec::new();
        for sample in CORRECT {
            let x = &pixels()[sample as usize * PIXELS..][..PIXELS];
            let size = (clean.height, clean.width);
            let map = explain::full_size(clean.map(sample as usize), size, (SIZE, SIZE));
            let mut out = vec![0.0; PIXELS];
            let step = attack::step(0.25, unit, NORM.std);
            attack::compose(
                x,
                attack::Direction::Signs(&signs(sample)),
                &map,
                step,
                &mut out,
            );
            perturbed.extend(out);
        }
        let expected = expected(&perturbed, Target::Predicted);
        assert_eq!(maps.sample, CORRECT);
        assert_eq!(maps.maps, expected.maps);
        assert_eq!(maps.predicted, expected.predicted);
        assert_eq!(maps.target, expected.predicted);
        assert_eq!(maps.labels, Labels::Single(labels()).select(&[0, 2, 4]));
        assert_eq!(maps.meta.epsilon, Some(0.25));
        assert_eq!(maps.meta.epsilon_unit.as_deref(), Some(unit_name));
        let provenance = maps.provenance.unwrap();
        for role in ["maps", "perturbations"] {
            let file = dir.path().join(format!("{role}.safetensors"));
            assert_eq!(
                provenance.of(role),
                Some(artifact::digest(&file).unwrap().as_str())
            );
        }
    }
}

#[test]
fn without_a_push_nothing_moves() {
    let dir = tempfile::tempdir().unwrap();
    for target in ["predicted", "label"] {
        prepare(dir.path(), &["--target", target]);
        let clean = read(dir.path(), "maps.safetensors");
        let flags = [&ATTACKED[..5], &["0", "--target", target]].concat();
        let maps = explained(dir.path(), &flags);
        for (i, sample) in CORRECT.into_iter().enumerate() {
            assert_eq!(maps.map(i), clean.map(sample as usize));
            assert_eq!(maps.target[i], clean.target[sample as usize]);
        }
    }
}

#[test]
fn a_dense_direction_of_somebody_else_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let signs = explained(dir.path(), &ATTACKED);
    let delta = (0..IMAGES as u32).flat_map(|sample| {
        let signs = crate::signs(sample);
        (0..PIXELS).map(move |i| ops::bits::sign(&signs, i))
    });
    Perturbations {
        directions: Directions::Delta(delta.collect()),
        sample: (0..IMAGES as u32).collect(),
        height: SIZE,
        width: SIZE,
        provenance: None,
    }
    .write(&dir.path().join("perturbations.safetensors"))
    .unwrap();
    assert_eq!(explained(dir.path(), &ATTACKED).maps, signs.maps);
}

#[test]
fn a_map_that_says_nothing_protects_nothing() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let mut clean = read(dir.path(), "maps.safetensors");
    clean.status = vec![1, 0, 2, 0, 0];
    clean.write(&dir.path().join("maps.safetensors")).unwrap();
    let maps = explained(dir.path(), &ATTACKED);

    let x = &pixels()[..PIXELS];
    let mut out = vec![0.0; PIXELS];
    let direction = signs(0);
    let direction = attack::Direction::Signs(&direction);
    attack::compose(x, direction, &[0.0; SIZE * SIZE], [0.25; 3], &mut out);
    assert_eq!(maps.sample, CORRECT);
    assert_eq!(maps.map(0), expected(&out, Target::Predicted).maps);
}

#[test]
fn without_a_correct_prediction_the_table_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let wrong = expected(&pixels(), Target::Predicted).predicted;
    let wrong = wrong.into_iter().map(|class| (class + 1) % CLASSES).collect();
    write_pack(dir.path(), Labels::Single(wrong));
    write_perturbations(dir.path(), &[0, 1, 2, 3, 4]);
    assert!(explain_to(dir.path(), "maps.safetensors", &[]).status.success());
    let maps = explained(dir.path(), &ATTACKED);
    assert!(maps.is_empty());
    assert_eq!((maps.height, maps.width, maps.classes), (4, 4, 3));
}

#[test]
fn a_network_that_is_not_finite_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let broken = network();
    let nan = Tensor::new(&[f32::NAN; 3], &Device::Cpu).unwrap();
    broken.parameters()["fc.bias"].set(&nan).unwrap();
    write_model(dir.path(), &broken, LabelKind::Single);
    let output = explain_to(dir.path(), "explained.safetensors", &[]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("of 5 maps 0 are flat and 5 not finite"), "{said}");
    assert_eq!(read(dir.path(), "explained.safetensors").status, [2; IMAGES]);
}

#[test]
fn files_of_another_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let other = Network::new(Arch::Resnet20, 3, NORM, 4).unwrap();
    write_model(dir.path(), &other, LabelKind::Single);
    refused(dir.path(), &ATTACKED, 1, &["maps.safetensors", "model.safetensors"]);
    assert!(explain_to(dir.path(), "maps.safetensors", &[]).status.success());
    refused(dir.path(), &ATTACKED, 1, &["perturbations.safetensors", "model.safetensors"]);
}

#[test]
fn files_of_another_pack_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let mut others = labels();
    others[0] = (others[0] + 1) % CLASSES;
    write_pack(dir.path(), Labels::Single(others));
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
    refused(dir.path(), &["--target", "other"], 2, &["predicted", "label"]);
    refused(dir.path(), &["--batch-size", "0"], 2, &["--batch-size"]);
}
