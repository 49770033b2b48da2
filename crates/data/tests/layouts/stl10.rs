use std::path::Path;

use data::layout::stl10;

use crate::fixture::{decode, labels, names, single, write};

const PLANE: usize = 96 * 96;

/// Three training images, two to test on.
///
/// Of image i, the red byte at column x and row y is x, the green y, the blue 100 + i.
fn dataset(home: &Path) {
    let images = |count: u8| {
        let mut bytes = Vec::new();
        for index in 0..count {
            // Column after column.
            bytes.extend((0..PLANE).map(|at| (at / 96) as u8));
            bytes.extend((0..PLANE).map(|at| (at % 96) as u8));
            bytes.extend([100 + index; PLANE]);
        }
        bytes
    };
    write(&home.join("train_X.bin"), images(3));
    write(&home.join("train_y.bin"), [2, 1, 2]);
    write(&home.join("test_X.bin"), images(2));
    write(&home.join("test_y.bin"), [1, 2]);
    write(&home.join("class_names.txt"), "airplane\nbird\n");
    write(&home.join("fold_indices.txt"), "2 1 \n0 \n");
}

fn said(root: &Path, choice: &stl10::Choice) -> String {
    stl10::open(root, choice).unwrap_err().to_string()
}

#[test]
fn images_lie_column_by_column() {
    let dir = tempfile::tempdir().unwrap();
    dataset(&dir.path().join("stl10_binary"));
    let stl = stl10::open(dir.path(), &stl10::Choice::default()).unwrap();
    assert_eq!(stl.classes, ["airplane", "bird"]);
    assert_eq!(labels(&stl, "train"), single(&[1, 0, 1]));
    let image = &decode(&stl, "test", 96)[1].image;
    let pixel = |y: usize, x: usize| [0, 1, 2].map(|c| image[c * PLANE + y * 96 + x]);
    assert_eq!(pixel(0, 0), [0, 0, 101]);
    assert_eq!(pixel(5, 90), [90, 5, 101]);
    assert_eq!(pixel(95, 1), [1, 95, 101]);
}

#[test]
fn a_fold_is_a_list_of_training_images() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let fold = |fold| stl10::Choice { fold: Some(fold), masks: None };
    let stl = stl10::open(dir.path(), &fold(0)).unwrap();
    assert_eq!(names(&stl, "train"), ["train_X.bin#2", "train_X.bin#1"]);
    assert_eq!(labels(&stl, "train"), single(&[1, 0]));
    assert_eq!(stl.splits["test"].len(), 2);
    assert!(
        said(dir.path(), &fold(2)).ends_with("expected a line for fold 2, found 2 lines")
    );
}

#[test]
fn coarse_masks_cover_the_image() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let masks = dir.path().join("masks.bin");
    write(&masks, [0, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0]);
    // Masks follow their images into a fold.
    let choice = stl10::Choice { fold: Some(0), masks: Some(masks.clone()) };
    let stl = stl10::open(dir.path(), &choice).unwrap();
    let decoded = decode(&stl, "train", 4);
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 2, 2, 0, 0];
    assert_eq!(decoded[0].mask.as_deref(), Some(&expected[..]));
    assert_eq!(decoded[1].mask.as_deref(), Some(&[1; 16][..]));
    assert_eq!(decode(&stl, "test", 4)[0].mask, None);

    write(&masks, [0; 13]);
    assert!(said(dir.path(), &choice).contains("a square matrix for each of 3 images"));
}

#[test]
fn a_missing_or_cut_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let usual = stl10::Choice::default();
    let images = dir.path().join("train_X.bin");
    write(&images, [0; 100]);
    let line = said(dir.path(), &usual);
    assert!(
        line.ends_with("expected 82944 bytes, 3 images as in train_y.bin, found 100"),
        "{line}"
    );
    std::fs::remove_file(&images).unwrap();
    let line = said(dir.path(), &usual);
    assert!(line.starts_with("no train_X.bin of stl10_binary.tar.gz (https://"), "{line}");
    assert!(line.ends_with(images.to_str().unwrap()), "{line}");

    write(&dir.path().join("train_y.bin"), [3, 1, 0]);
    write(&images, vec![0; 3 * 3 * PLANE]);
    assert!(said(dir.path(), &usual).ends_with("expected labels from 1 to 2, found 3"));
}
