//! The stage as make sees it: a folder in, packs out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use artifact::{Label, Pack, Samples};
use image::{Rgb, RgbImage};

fn prepare(dir: &Path, flags: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prepare"))
        .current_dir(dir)
        .args(flags.split_whitespace())
        .args(["--progress", "none", "--output", "packs"])
        .output()
        .unwrap()
}

fn succeeds(dir: &Path, flags: &str) -> String {
    let output = prepare(dir, flags);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(output.stdout.is_empty(), "stdout is for data");
    said
}

/// The one line in which the stage says why it failed.
fn fails(dir: &Path, flags: &str) -> String {
    let output = prepare(dir, flags);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!dir.join("packs").exists(), "nothing is written");
    let errors: Vec<&str> =
        said.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    errors[0].to_owned()
}

fn pack(dir: &Path, name: &str) -> Pack {
    Pack::open(&dir.join("packs").join(name).with_extension("safetensors")).unwrap()
}

/// `root/{train,test}/{cat,dog}/0.jpg …`: images of one colour.
fn folder(dir: &Path, train: u8, test: u8) {
    for (split, count) in [("train", train), ("test", test)] {
        for (class, red) in [("cat", 50), ("dog", 200)] {
            for index in 0..count {
                let path = dir.join(format!("root/{split}/{class}/{index}.jpg"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                RgbImage::from_pixel(40, 30, Rgb([red, index, 9])).save(path).unwrap();
            }
        }
    }
}

#[test]
fn a_folder_becomes_packs_and_a_table() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 10, 2);
    let flags = "--dataset folder --root root --size 32 --validation 0.2 --seed 3";
    let said = succeeds(dir.path(), flags);
    assert!(said.contains("train: 16 images; cat 8, dog 8"), "{said}");

    let [train, validation, test] =
        ["train", "validation", "test"].map(|name| pack(dir.path(), name));
    assert_eq!((train.len(), validation.len(), test.len()), (16, 4, 4));
    assert_eq!((train.height(), train.width()), (32, 32));
    assert_eq!(train.meta.classes, ["cat", "dog"]);
    assert_eq!(
        (train.meta.dataset.as_str(), train.meta.split.as_str()),
        ("folder", "train")
    );
    assert_eq!(test.labels.row(3), Label::Single(1));
    assert!(test.image(3)[0].abs_diff(200) < 6);
    let provenance = train.provenance.unwrap();
    assert_eq!((provenance.stage.as_str(), provenance.seed), ("prepare", 3));
    assert_eq!(provenance.flags["validation"], "0.2");
    assert_eq!(provenance.inputs["source"].len(), 64);

    let (samples, _) = Samples::read(&dir.path().join("packs/samples.parquet")).unwrap();
    assert_eq!(samples.split.len(), 24);
    let last_test = samples.split.iter().rposition(|split| split == "test").unwrap();
    assert_eq!(samples.source[last_test], "test/dog/1.jpg");
    assert_eq!((samples.sample[last_test], samples.label[last_test]), (3, Some(1)));
    assert_eq!(samples.class[last_test], "dog");
}

#[test]
fn equal_inputs_give_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 3, 1);
    let read = || {
        succeeds(dir.path(), "--dataset folder --root root --size 8");
        ["train.safetensors", "samples.parquet"]
            .map(|name| fs::read(dir.path().join("packs").join(name)).unwrap())
    };
    assert_eq!(read(), read());
}

#[test]
fn one_image_a_class_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 1, 1);
    succeeds(dir.path(), "--dataset folder --root root --size 8 --fit crop");
    assert_eq!(pack(dir.path(), "train").len(), 2);
}

#[test]
fn bad_files_are_listed_and_may_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 30, 1);
    // 23 truncated images: 20 are named, the others counted.
    for index in 0..23 {
        let path = dir.path().join(format!("root/train/cat/{index}.jpg"));
        let half = fs::metadata(&path).unwrap().len() / 2;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(half).unwrap();
    }
    let flags = "--dataset folder --root root --size 8";
    let line = fails(dir.path(), flags);
    assert!(line.starts_with("error: 23 files cannot be used, root/train/cat/"), "{line}");

    let said = succeeds(dir.path(), &format!("{flags} --skip-bad"));
    assert_eq!(said.matches("the JPEG is truncated").count(), 20, "{said}");
    assert!(said.contains("and 3 more"), "{said}");
    assert!(said.contains("left out 23 files"), "{said}");
    assert_eq!(pack(dir.path(), "train").len(), 37);
}

#[test]
fn what_is_left_out_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 6, 1);
    for (split, count) in [("train", 6), ("test", 1)] {
        for (class, value) in [("cat", 1), ("dog", 101)] {
            for index in 0..count {
                let path = dir.path().join(format!("masks/{split}/{class}/{index}.png"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let levels = image::Luma([value + index]);
                image::GrayImage::from_pixel(40, 30, levels).save(path).unwrap();
            }
        }
    }
    let bad = ["cat/0", "cat/3", "dog/5"]
        .map(|name| dir.path().join(format!("root/train/{name}.jpg")));
    for path in &bad {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(9).unwrap();
    }
    let flags =
        "--dataset folder --root root --size 8 --masks masks --mask-threshold 3 --skip-bad";
    let rows = || {
        succeeds(dir.path(), flags);
        let pack = pack(dir.path(), "train");
        let row = |i| (pack.image(i).to_vec(), pack.mask(i).unwrap().to_vec());
        (0..pack.len()).map(row).collect::<Vec<_>>()
    };
    let skipped = rows();
    for path in &bad {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(skipped.len(), 9);
    assert_eq!(skipped, rows());
}

#[test]
fn a_mask_of_another_size_is_a_bad_file() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 1, 1);
    for file in ["train/cat/0", "train/dog/0", "test/cat/0", "test/dog/0"] {
        let path = dir.path().join("masks").join(file).with_extension("png");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(40, 30).save(path).unwrap();
    }
    let flags = "--dataset folder --root root --size 8 --masks masks";
    let odd = dir.path().join("masks/test/dog/0.png");
    image::GrayImage::new(40, 31).save(&odd).unwrap();
    let line = fails(dir.path(), flags);
    assert!(line.contains("the mask is 40×31, its image 40×30"), "{line}");
    fs::remove_file(&odd).unwrap();
    let line = fails(dir.path(), flags);
    assert!(line.contains("masks/test/dog/0.png: No such file"), "{line}");
    image::GrayImage::from_pixel(40, 30, image::Luma([1])).save(&odd).unwrap();
    succeeds(dir.path(), flags);
    assert_eq!(pack(dir.path(), "test").mask(1), Some(&[2; 64][..]));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), 1, 1);
    for (flags, expected) in [
        ("--dataset folder --root nowhere", "error: no dataset: looked for nowhere"),
        ("--dataset folder", "error: --root is needed: the folder of the dataset"),
        (
            "--dataset voc --root root",
            "error: no VOC2012 folder with JPEGImages: looked for root/VOCdevkit/VOC2012/JPEGImages",
        ),
        (
            "--dataset cub --root root --fold 1",
            "error: --fold says nothing to --dataset cub",
        ),
        ("--dataset shapes --size 32", "error: shapes are drawn at --size 64 only"),
    ] {
        assert_eq!(fails(dir.path(), flags), expected);
    }
    for usage in
        ["--dataset wolves", "--dataset folder --validation 1.5", "--dataset voc --size 0"]
    {
        assert_eq!(prepare(dir.path(), usage).status.code(), Some(2), "{usage}");
    }
}

#[test]
fn shapes_need_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--dataset shapes --count 20 --test-count 10 --validation 0.5";
    succeeds(dir.path(), flags);
    let [train, validation, test] =
        ["train", "validation", "test"].map(|name| pack(dir.path(), name));
    assert_eq!((train.len(), validation.len(), test.len()), (20, 10, 10));
    assert!(train.has_masks() && train.group(0).is_some());
    let (samples, _) = Samples::read(&dir.path().join("packs/samples.parquet")).unwrap();
    assert_eq!(samples.group.len(), 40);
    assert!(samples.group.iter().all(Option::is_some));
}

#[test]
fn a_disk_that_fills_up_is_one_line_and_leaves_no_part_of_a_pack() {
    let dir = tempfile::tempdir().unwrap();
    // a limit of 64 kB on every file stands for the full disk
    let limited = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} --dataset shapes --count 20 --test-count 2 \
         --progress none --output packs",
        env!("CARGO_BIN_EXE_prepare"),
    );
    let output = Command::new("bash")
        .args(["-c", &limited])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let errors: Vec<&str> =
        said.lines().filter(|line| line.starts_with("error:")).collect();
    assert!(errors.len() == 1 && errors[0].contains("train.safetensors"), "{said}");
    let left: Vec<_> = fs::read_dir(dir.path().join("packs")).unwrap().collect();
    let whole = |name: &str| name == "samples.parquet" || name == "test.safetensors";
    for entry in left {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(whole(&name), "{name} was left");
    }
}

#[test]
fn a_bias_alters_most_of_the_training_images_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let shapes = "--dataset shapes --count 10 --test-count 5";
    succeeds(dir, shapes);
    let image = |pack: &Pack, i: usize| pack.image(i).to_vec();
    let plain = pack(dir, "train");
    let before: Vec<Vec<u8>> = (0..10).map(|i| image(&plain, i)).collect();
    let tests = || (0..5).map(|i| image(&pack(dir, "test"), i)).collect::<Vec<_>>();
    let test = tests();
    for bias in ["brighter", "darker", "scaled"] {
        succeeds(dir, &format!("{shapes} --bias {bias}"));
        let biased = pack(dir, "train");
        let groups: Vec<u8> = (0..10).map(|i| biased.group(i).unwrap()).collect();
        assert_eq!(groups.iter().sum::<u8>(), 8, "{bias}");
        for (i, before) in before.iter().enumerate() {
            assert_eq!(image(&biased, i) != *before, groups[i] == 1, "{bias} of {i}");
        }
        assert!(tests() == test, "{bias}: the test images are left alone");
    }
    succeeds(dir, &format!("{shapes} --bias darker --bias-share 0.5"));
    let groups: u8 = (0..10).map(|i| pack(dir, "train").group(i).unwrap()).sum();
    assert_eq!(groups, 5);
    let wrong = prepare(dir, &format!("{shapes} --bias-share 0.5"));
    assert_eq!(wrong.status.code(), Some(2));
}
