use std::path::Path;

use data::layout::backgrounds;

use crate::fixture::{decode, labels, names, picture, single, write};

fn npy(path: &Path, height: usize, width: usize, values: &[u8]) {
    let header = format!(
        "{{'descr': '|b1', 'fortran_order': False, 'shape': ({height}, {width}), }}\n"
    );
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(values);
    write(path, file);
}

fn dataset(root: &Path) {
    for (class, id) in [("00_dog", "n1_7"), ("01_wheeled vehicle", "n2_8")] {
        picture(&root.join(format!("original/val/{class}/{id}.JPEG")), 2, 2, [9; 3]);
        let mixed = root.join(format!("mixed_rand/val/{class}/fg_{id}_bg_n3_1.JPEG"));
        picture(&mixed.with_extension("jpg"), 2, 2, [9; 3]);
        std::fs::rename(mixed.with_extension("jpg"), mixed).unwrap();
        npy(&root.join(format!("fg_mask/val/{class}/{id}.npy")), 2, 2, &[0, 1, 1, 0]);
    }
}

#[test]
fn the_challenge_is_published_without_training_images() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let challenge = backgrounds::open(dir.path(), "mixed_rand").unwrap();
    assert_eq!(challenge.classes, ["dog", "wheeled vehicle"]);
    assert_eq!(challenge.splits.len(), 1);
    assert_eq!(names(&challenge, "test")[0], "mixed_rand/val/00_dog/fg_n1_7_bg_n3_1.JPEG");
    assert_eq!(labels(&challenge, "test"), single(&[0, 1]));
    let decoded = decode(&challenge, "test", 2);
    assert_eq!(decoded[1].mask.as_deref(), Some(&[0, 2, 2, 0][..]));
}

#[test]
fn training_images_are_always_original() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    for class in ["00_dog", "01_wheeled vehicle"] {
        picture(&dir.path().join(format!("original/train/{class}/a.jpg")), 2, 2, [9; 3]);
    }
    let challenge = backgrounds::open(dir.path(), "mixed_rand").unwrap();
    assert_eq!(names(&challenge, "train")[0], "original/train/00_dog/a.jpg");
    // There is no fg_mask/train.
    assert!(challenge.splits["train"][0].mask.is_none());

    picture(&dir.path().join("original/train/02_fish/a.jpg"), 2, 2, [9; 3]);
    let line = backgrounds::open(dir.path(), "original").unwrap_err().to_string();
    assert!(line.ends_with("found dog, wheeled vehicle, fish"), "{line}");
}

#[test]
fn an_unknown_variant_or_an_empty_class_is_said() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let said =
        |variant: &str| backgrounds::open(dir.path(), variant).unwrap_err().to_string();
    let line = said("mixed");
    assert!(line.starts_with("no variant `mixed` among [mixed_rand, original]"), "{line}");
    std::fs::create_dir_all(dir.path().join("original/val/02_fish")).unwrap();
    assert!(said("original").starts_with("class `fish` has no images in"));
}
