//! The maps of the images as they are.

use std::fs;

use artifact::{LabelKind, Labels, Maps};
use explain::Target;
use fixtures::{assert_input, assert_succeeded, stderr};

use crate::setup::{
    ATTACKED, IMAGES, SIZE, TINY, expected, explain_to, explained, labels, prepare, read,
};

#[test]
fn every_image_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let maps = explained(dir.path(), &["--batch-size", "2"]);

    let expected = expected(&TINY.pixels(), Target::Predicted);
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
    assert_eq!(maps.meta.tap, TINY.network().resolve_tap(None).unwrap().name());
    let provenance = maps.provenance.unwrap();
    assert_input(&provenance, "data", &dir.path().join("pack.safetensors"));
    assert_input(&provenance, "model", &dir.path().join("model.safetensors"));
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
    assert_eq!(maps.maps, expected(&TINY.pixels(), Target::Given(&labels())).maps);
    assert_eq!(maps.meta.target, "label");
}

#[test]
fn of_a_set_the_label_of_the_highest_confidence_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let logits = expected(&TINY.pixels(), Target::Predicted).logits;
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
    second[4] = expected(&TINY.pixels(), Target::Predicted).predicted[4];
    TINY.write_pack(dir.path(), Labels::Multi { classes: 3, hot });
    TINY.write_model(dir.path(), LabelKind::Multi);
    assert_eq!(explained(dir.path(), &["--target", "label"]).target, second);
}

#[test]
fn a_network_that_is_not_finite_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let broken = TINY.biased([f32::NAN; 3]);
    fixtures::write_model(dir.path(), &broken, Some(TINY.meta(LabelKind::Single)));
    let output = explain_to(dir.path(), "explained.safetensors", &[]);
    assert_succeeded(&output);
    let said = stderr(&output);
    assert!(said.contains("of 5 maps 0 are flat and 5 not finite"), "{said}");
    assert_eq!(read(dir.path(), "explained.safetensors").status, [2; IMAGES]);
}
