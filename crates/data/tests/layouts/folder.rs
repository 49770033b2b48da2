use std::path::{Path, PathBuf};

use data::layout::folder::{self, Choice};

use crate::fixture::{decode, grey, labels, names, picture, single};

fn plain() -> Choice {
    Choice { masks: None, threshold: 0, test_fraction: None, seed: 0 }
}

fn said(root: &Path, choice: &Choice) -> String {
    folder::open(root, choice).unwrap_err().to_string()
}

#[test]
fn folders_train_and_test_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["train/b/deep/er/2.png", "train/b/1.jpg", "train/a/1.bmp", "test/a/1.jpg"]
    {
        picture(&dir.path().join(file), 3, 2, [9; 3]);
    }
    // The folders must show the same classes.
    assert!(said(dir.path(), &plain()).ends_with("train: a, b, found a"));
    picture(&dir.path().join("test/b/1.jpg"), 3, 2, [9; 3]);
    let folder = folder::open(dir.path(), &plain()).unwrap();
    assert_eq!(folder.classes, ["a", "b"]);
    let expected = ["train/a/1.bmp", "train/b/1.jpg", "train/b/deep/er/2.png"];
    assert_eq!(names(&folder, "train"), expected);
    assert_eq!(labels(&folder, "train"), single(&[0, 1, 1]));
    assert_eq!(decode(&folder, "train", 2)[2].image, [9; 12]);
}

#[test]
fn classes_alone_are_parted() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        for index in 0..5 {
            picture(&dir.path().join(format!("{class}/{index}.png")), 1, 1, [9; 3]);
        }
    }
    assert!(said(dir.path(), &plain()).starts_with("no folder `train` beside `test` (or"));
    let folder = folder::open(dir.path(), &Choice { test_fraction: Some(0.2), ..plain() });
    let folder = folder.unwrap();
    assert_eq!((folder.counts("train"), folder.counts("test")), (vec![4, 4], vec![1, 1]));
}

#[test]
fn masks_may_lie_beside_their_images() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["blowhole/Imgs/1", "free/Imgs/1", "free/Imgs/2"] {
        let path: PathBuf = dir.path().join(file);
        picture(&path.with_extension("jpg"), 2, 2, [9; 3]);
        grey(&path.with_extension("png"), 2, &[0, 100, 127, 128]);
    }
    let choice = Choice {
        masks: Some(dir.path().to_owned()),
        threshold: 127,
        test_fraction: Some(0.5),
        ..plain()
    };
    let folder = folder::open(dir.path(), &choice).unwrap();
    let mut all = [names(&folder, "train"), names(&folder, "test")].concat();
    all.sort();
    assert_eq!(all, ["blowhole/Imgs/1.jpg", "free/Imgs/1.jpg", "free/Imgs/2.jpg"]);
    let free = decode(&folder, "train", 2).pop().unwrap();
    assert_eq!(free.mask.as_deref(), Some(&[0, 0, 0, 2][..]));

    let folder = folder::open(dir.path(), &Choice { threshold: 0, ..choice }).unwrap();
    let free = decode(&folder, "train", 2).pop().unwrap();
    assert_eq!(free.mask.as_deref(), Some(&[0, 2, 2, 2][..]));
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let parted = Choice { test_fraction: Some(0.5), ..plain() };
    assert!(
        said(&dir.path().join("nowhere"), &parted).starts_with("no dataset: looked for")
    );
    assert!(said(dir.path(), &parted).starts_with("no images in"));
    std::fs::create_dir(dir.path().join("a")).unwrap();
    assert!(said(dir.path(), &parted).starts_with("class `a` has no images in"));
    // One image is fine to have, but it cannot be parted.
    picture(&dir.path().join("a/1.png"), 1, 1, [9; 3]);
    assert!(said(dir.path(), &parted).starts_with("a share of 0.5 takes"));
}
