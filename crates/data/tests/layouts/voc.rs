use std::path::Path;

use artifact::LabelKind;
use data::layout::{Label, voc};

use crate::fixture::{decode, labels, names, palette, picture, single, write};

const CAT: u8 = 8;
const DOG: u8 = 12;
const PERSON: u8 = 15;

/// Train: a, b, c; trainaug: a, b, c, d; val: e. `d` has an augmented mask only.
fn dataset(root: &Path) {
    let voc = root.join("VOCdevkit/VOC2012");
    let masks = [
        // Most of it is a dog, but there is a cat and a person as well.
        ("a", [DOG, DOG, DOG, CAT, CAT, PERSON, 255, 0]),
        // A cat and a dog of equal area.
        ("b", [CAT, CAT, DOG, DOG, 0, 0, 0, 255]),
        // Neither.
        ("c", [PERSON, PERSON, 0, 0, 0, 0, 0, 0]),
        ("d", [0, 0, 0, 0, 0, 0, CAT, CAT]),
        ("e", [CAT; 8]),
    ];
    for (id, mask) in masks {
        picture(&voc.join(format!("JPEGImages/{id}.jpg")), 4, 2, [200, 100, 50]);
        palette(&voc.join(format!("SegmentationClassAug/{id}.png")), 4, &mask);
        if id != "d" {
            palette(&voc.join(format!("SegmentationClass/{id}.png")), 4, &mask);
        }
    }
    let list = |set: &str, ids: &str| {
        write(&voc.join(format!("ImageSets/Segmentation/{set}.txt")), ids);
    };
    list("train", "a\nb\nc\n");
    list("trainaug", "a\nb\nc\nd\n");
    list("val", "e\n");
    list("all", "a\ne\n");
    list("empty", "\n");
}

fn choice(classes: &[&str]) -> voc::Choice {
    voc::Choice {
        classes: classes.iter().map(|&name| name.to_owned()).collect(),
        labels: LabelKind::Single,
        train_set: "train".to_owned(),
        test_set: "val".to_owned(),
    }
}

fn said(root: &Path, choice: &voc::Choice) -> String {
    voc::open(root, choice).unwrap_err().to_string()
}

#[test]
fn the_largest_of_the_chosen_classes_is_the_label() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let voc = voc::open(dir.path(), &choice(&["cat", "dog"])).unwrap();
    assert_eq!(voc.classes, ["cat", "dog"]);
    // `c` shows neither; of equal areas the first chosen counts.
    assert_eq!(names(&voc, "train"), ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]);
    assert_eq!(labels(&voc, "train"), single(&[1, 0]));
    let voc = voc::open(dir.path(), &choice(&["dog", "cat"])).unwrap();
    assert_eq!(labels(&voc, "train"), single(&[0, 0]));
    let voc = voc::open(dir.path(), &choice(&[])).unwrap();
    assert_eq!(labels(&voc, "train"), single(&[11, 7, 14]));
}

#[test]
fn masks_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let voc = voc::open(dir.path(), &choice(&["cat", "dog"])).unwrap();
    // From [12 12 12 8; 8 15 255 0], columns 1 and 3 are nearest to the two centres.
    let decoded = decode(&voc, "train", 2);
    assert_eq!(decoded[0].mask.as_deref(), Some(&[2, 1, 0, 0][..]));
    let decoded = decode(&voc, "train", 4);
    let doubled = [2, 2, 2, 1, 2, 2, 2, 1, 1, 0, 255, 0, 1, 0, 255, 0];
    assert_eq!(decoded[0].mask.as_deref(), Some(&doubled[..]));
    let red = f64::from(decoded[0].image[5]);
    assert!((red - 200.0).abs() < 6.0, "{red}");
}

#[test]
fn several_labels_are_all_in_the_mask() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let several =
        voc::Choice { labels: LabelKind::Multi, ..choice(&["cat", "dog", "person"]) };
    let voc = voc::open(&dir.path().join("VOCdevkit"), &several).unwrap();
    let hot = |hot: [u8; 3]| Label::Multi(hot.to_vec());
    assert_eq!(labels(&voc, "train"), [hot([1, 1, 1]), hot([1, 1, 0]), hot([0, 0, 1])]);
    assert_eq!(voc.counts("train"), [2, 2, 2]);
}

#[test]
fn a_set_without_official_masks_takes_the_augmented_ones() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let home = dir.path().join("VOCdevkit/VOC2012");
    let augmented = voc::Choice { train_set: "trainaug".into(), ..choice(&["cat", "dog"]) };
    let voc = voc::open(&home, &augmented).unwrap();
    let folder = |split: &str| {
        let mask = voc.splits[split][0].mask.clone().unwrap();
        mask.file.path().parent().unwrap().to_owned()
    };
    assert_eq!(folder("train"), home.join("SegmentationClassAug"));
    assert_eq!(folder("test"), home.join("SegmentationClass"));
    assert_eq!(voc.counts("train"), [2, 1]);
}

#[test]
fn what_cannot_be_meant_is_said() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let root = dir.path();
    let line = said(root, &choice(&["cat", "wolf"]));
    assert!(
        line.starts_with("unknown class `wolf`; known are aeroplane, bicycle"),
        "{line}"
    );
    assert_eq!(said(root, &choice(&["cat", "cat"])), "class `cat` is named twice");
    let line = said(root, &choice(&["cat", "dog", "cow"]));
    assert_eq!(line, "class `cow` has no images in train and val");

    let with =
        |train: &str| voc::Choice { train_set: train.into(), ..choice(&["cat", "dog"]) };
    assert_eq!(
        said(root, &with("all")),
        "1 images are in both `all` and `val`, `e` is one"
    );
    assert!(said(root, &with("empty")).ends_with("empty.txt: the list is empty"));
    assert!(said(root, &with("none")).starts_with("no image set: looked for"));
    let line = said(&root.join("nowhere"), &with("train"));
    assert!(line.contains("nowhere/VOCdevkit/VOC2012/JPEGImages"), "{line}");
}

#[test]
fn bad_masks_are_collected() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let masks = dir.path().join("VOCdevkit/VOC2012/SegmentationClass");
    palette(&masks.join("a.png"), 4, &[77; 8]);
    write(&masks.join("b.png"), "no PNG");
    let voc = voc::open(dir.path(), &choice(&[])).unwrap();
    assert_eq!(voc.bad.len(), 2);
    assert_eq!(voc.bad[0].reason, "the mask value 77 is no class of VOC");
    assert_eq!(voc.bad[1].path, masks.join("b.png"));
    assert_eq!(names(&voc, "train"), ["JPEGImages/c.jpg"]);
}
