use std::path::Path;

use data::layout::cub;

use crate::fixture::{decode, grey, labels, names, picture, single, write};

fn dataset(root: &Path) {
    let cub = root.join("CUB_200_2011");
    write(&cub.join("classes.txt"), "1 001.Albatross\n2 002.Auklet\n");
    let files = ["001.Albatross/a.jpg", "002.Auklet/b.jpg", "001.Albatross/c.jpg"];
    for file in files {
        picture(&cub.join("images").join(file), 4, 2, [10, 20, 30]);
    }
    let [a, b, c] = files;
    write(&cub.join("images.txt"), format!("1 {a}\n2 {b}\n3 {c}\n"));
    write(&cub.join("image_class_labels.txt"), "1 1\n2 2\n3 1\n");
    write(&cub.join("train_test_split.txt"), "1 1\n2 0\n3 1\n");
}

#[test]
fn the_lists_say_what_is_what() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let cub = cub::open(dir.path()).unwrap();
    assert_eq!(cub.classes, ["001.Albatross", "002.Auklet"]);
    assert_eq!(labels(&cub, "train"), single(&[0, 0]));
    assert_eq!(names(&cub, "test"), ["images/002.Auklet/b.jpg"]);
    assert_eq!(labels(&cub, "test"), single(&[1]));
    assert_eq!(decode(&cub, "train", 8)[0].mask, None);
}

#[test]
fn segmentations_beside_the_images_are_used() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    for file in ["001.Albatross/a.png", "002.Auklet/b.png", "001.Albatross/c.png"] {
        let path = dir.path().join("segmentations").join(file);
        grey(&path, 4, &[0, 51, 102, 127, 128, 153, 204, 255]);
    }
    let cub = cub::open(&dir.path().join("CUB_200_2011")).unwrap();
    // A pixel is the bird's where more than half of the annotators said so.
    assert_eq!(decode(&cub, "test", 2)[0].mask.as_deref(), Some(&[0, 0, 2, 2][..]));
}

#[test]
fn without_segmentations_the_boxes_are_masks() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let list = dir.path().join("CUB_200_2011/bounding_boxes.txt");
    // Of four columns and two rows: the right half, all, the lower left pixels.
    write(&list, "1 2.0 0.0 2.0 2.0\n2 0.0 0.0 4.0 2.0\n3 0.0 1.0 2.0 1.0\n");
    let cub = cub::open(dir.path()).unwrap();
    let train = decode(&cub, "train", 2);
    assert_eq!(train[0].mask.as_deref(), Some(&[0, 1, 0, 1][..]));
    assert_eq!(train[1].mask.as_deref(), Some(&[0, 0, 1, 0][..]));
    assert_eq!(decode(&cub, "test", 2)[0].mask.as_deref(), Some(&[2; 4][..]));

    write(&list, "1 2.0 0.0 2.0 2.0\n2 0.0 zero\n3 0.0 1.0 2.0 1.0\n");
    let said = cub::open(dir.path()).unwrap_err().to_string();
    assert!(
        said.ends_with("x, y, width and height for image 2, found `0.0 zero`"),
        "{said}"
    );
}

#[test]
fn lists_that_do_not_agree_are_named() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let said = || cub::open(dir.path()).unwrap_err().to_string();
    let home = dir.path().join("CUB_200_2011");
    write(&home.join("train_test_split.txt"), "1 1\n2 0\n");
    assert!(
        said().ends_with("train_test_split.txt: expected 0 or 1 for image 3, found none")
    );
    write(&home.join("image_class_labels.txt"), "1 1\n2 7\n3 1\n");
    assert!(said().ends_with("expected a number of classes.txt for image 2, found 7"));
    std::fs::remove_file(home.join("images.txt")).unwrap();
    assert!(said().starts_with("no images.txt of CUB_200_2011: looked for"));
}
