//! Maps as pictures: of a pack's samples, and of an image file.

use std::{fs, path::Path, process::Output};

use artifact::LabelKind;
use explain::{Explanation, Status, Target};
use fixtures::{INPUTS, assert_refused, assert_succeeded, stderr};
use pictures::{Colours, RgbImage};

use crate::setup::{ATTACKED, PIXELS, SIZE, TINY, expected, explain_to, prepare, read};

/// The stage with these flags only.
fn explain(dir: &Path, flags: &[&str]) -> Output {
    fixtures::run(env!("CARGO_BIN_EXE_explain"), dir, flags)
}

/// The stage with the pack and model, without a file of maps.
fn drawn(dir: &Path, flags: &[&str]) -> Output {
    let output = explain(dir, &[&INPUTS[..], flags].concat());
    assert_succeeded(&output);
    assert!(output.stdout.is_empty());
    output
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let names = fs::read_dir(folder).unwrap().map(name);
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The first of the explained images with its map over it, as large as `factor` makes it.
fn picture(
    planes: &[u8],
    explanation: &Explanation,
    colours: Colours,
    factor: u32,
) -> Vec<u8> {
    let from = (explanation.height, explanation.width);
    assert_eq!(explanation.status[0], Status::Ok);
    let map = explain::full_size(explanation.map(0), from, (SIZE, SIZE));
    let image = pictures::from_planes(planes, [SIZE; 2]);
    let overlay = pictures::overlay(&image, &map, colours);
    pictures::png(&pictures::enlarge(&overlay, factor)).unwrap()
}

fn bytes(pixels: &[f32]) -> Vec<u8> {
    pixels.iter().map(|v| (v * 255.0).round() as u8).collect()
}

#[test]
fn each_sample_of_the_pack_is_drawn_beside_the_maps() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let output = explain_to(dir.path(), "again.safetensors", &["--overlay", "seen"]);
    assert_succeeded(&output);
    let seen = dir.path().join("seen");
    let all = ["0.png", "1.png", "2.png", "3.png", "4.png", "sheet-0.png"];
    assert_eq!(names(&seen), all);
    // the maps do not depend on their pictures
    let maps = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(maps("again.safetensors"), maps("maps.safetensors"));

    // 16 pixels become 192 by a factor of 12
    let third = &TINY.pixels()[2 * PIXELS..][..PIXELS];
    let explanation = expected(third, Target::Predicted);
    let picture = picture(&bytes(third), &explanation, Colours::Inferno, 12);
    assert!(fs::read(seen.join("2.png")).unwrap() == picture);
    let size = image::image_dimensions(seen.join("sheet-0.png")).unwrap();
    // four pairs in the first row, one in the second
    assert_eq!(size, (8 + 4 * (2 * 192 + 2 + 8), 8 + 2 * (18 + 192 + 8)));
}

#[test]
fn samples_and_colours_may_be_chosen_without_a_file_of_maps() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let flags = ["--overlay", "a/seen", "--samples", "4,1-2,2", "--colours", "jet"];
    let said = stderr(&drawn(dir.path(), &flags));
    let seen = dir.path().join("a/seen");
    assert!(said.contains("3 pictures in a/seen, sheets of them: 1"), "{said}");
    assert_eq!(names(&seen), ["1.png", "2.png", "4.png", "sheet-0.png"]);
    let second = &TINY.pixels()[PIXELS..][..PIXELS];
    let explanation = expected(second, Target::Predicted);
    let picture = picture(&bytes(second), &explanation, Colours::Jet, 12);
    assert!(fs::read(seen.join("1.png")).unwrap() == picture);

    // equal inputs give equal bytes, however many are explained at a time
    let all = || names(&seen).into_iter().map(|name| fs::read(seen.join(name)).unwrap());
    let before: Vec<_> = all().collect();
    drawn(dir.path(), &[&flags[..], &["--batch-size", "1"]].concat());
    assert!(all().eq(before));
}

#[test]
fn perturbed_images_are_drawn_as_they_were_explained() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let flags = [&ATTACKED[..], &["--overlay", "seen"]].concat();
    let output = explain_to(dir.path(), "perturbed.safetensors", &flags);
    assert_succeeded(&output);
    let seen = dir.path().join("seen");
    assert_eq!(names(&seen), ["0.png", "2.png", "4.png", "sheet-0.png"]);
    assert!(
        stderr(&output).contains("2 of 5 samples are not drawn"),
        "{}",
        stderr(&output)
    );

    let size = (SIZE, SIZE);
    let clean = read(dir.path(), "maps.safetensors");
    let g = explain::full_size(clean.map(4), (clean.height, clean.width), size);
    let mut hat = vec![0.0; PIXELS];
    let signs = crate::setup::signs(4);
    let direction = attack::Direction::Signs(&signs);
    let x = &TINY.pixels()[4 * PIXELS..];
    attack::compose(x, direction, &g, [0.25; 3], &mut hat);
    let explanation = expected(&hat, Target::Predicted);
    let picture = picture(&bytes(&hat), &explanation, Colours::Inferno, 12);
    assert!(fs::read(seen.join("4.png")).unwrap() == picture);

    // the same without a file of maps, of one sample alone
    let flags = [&ATTACKED[..], &["--overlay", "one", "--samples", "3,4"]].concat();
    drawn(dir.path(), &flags);
    assert_eq!(names(&dir.path().join("one")), ["4.png", "sheet-0.png"]);
    assert!(fs::read(dir.path().join("one/4.png")).unwrap() == picture);
}

#[test]
fn a_sheet_of_an_earlier_run_is_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    drawn(dir.path(), &["--overlay", "seen"]);
    let sheets =
        ["sheet-0.png", "sheet-1.png"].map(|name| dir.path().join("seen").join(name));
    fs::copy(&sheets[0], &sheets[1]).unwrap();
    let said = stderr(&drawn(dir.path(), &["--overlay", "seen"]));
    assert!(said.contains("seen/sheet-1.png is of an earlier run"), "{said}");
}

const PICTURE: [&str; 6] =
    ["--image", "cat.bmp", "--model", "model.safetensors", "--overlay", "seen.png"];

/// The first image of the pack, as a file twice as wide and three times as high.
fn write_image(dir: &Path) -> RgbImage {
    let image = pictures::from_planes(&bytes(&TINY.pixels()[..PIXELS]), [SIZE; 2]);
    let large = RgbImage::from_fn(2 * SIZE as u32, 3 * SIZE as u32, |x, y| {
        *image.get_pixel(x / 2, y / 3)
    });
    large.save(dir.join("cat.bmp")).unwrap();
    large
}

#[test]
fn an_image_file_is_explained_at_its_own_size() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let image = write_image(dir.path());
    let output = explain(dir.path(), &PICTURE);
    assert_succeeded(&output);

    // as `prepare` brings it to the size of the network
    let square = data::Geometry { size: SIZE, fit: data::Fit::Squash };
    let planes = square.image(image.as_raw(), 3 * SIZE, 2 * SIZE);
    let pixels: Vec<f32> = planes.iter().map(|&v| f32::from(v) / 255.0).collect();
    let explanation = expected(&pixels, Target::Predicted);
    let from = (explanation.height, explanation.width);
    let map = explain::full_size(explanation.map(0), from, (3 * SIZE, 2 * SIZE));
    let picture = pictures::overlay(&image, &map, Colours::Inferno);
    let written = fs::read(dir.path().join("seen.png")).unwrap();
    assert!(written == pictures::png(&picture).unwrap());

    let said = String::from_utf8(output.stdout).unwrap();
    let class = fixtures::CLASSES[explanation.predicted[0] as usize];
    assert!(said.starts_with(&format!("{class} ")), "{said}");
    assert_eq!((said.lines().count(), said.matches(" %").count()), (1, 3), "{said}");
}

#[test]
fn a_model_without_its_classes_cannot_explain_an_image_file() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    write_image(dir.path());
    fixtures::write_model(dir.path(), &TINY.network(), None);
    let words = ["model.safetensors", "classes and image size", "--data PACK"];
    for flags in [&PICTURE[..], &[&PICTURE[..], &["--arch", "resnet20"]].concat()] {
        assert_refused(&explain(dir.path(), flags), 1, &words);
    }
    let mut meta = TINY.meta(LabelKind::Single);
    meta.image_size = [SIZE, 2 * SIZE];
    fixtures::write_model(dir.path(), &TINY.network(), Some(meta));
    assert_refused(&explain(dir.path(), &PICTURE), 1, &["square", "found 16x32"]);
    assert!(!dir.path().join("seen.png").exists());
}

#[test]
fn outputs_that_are_not_finite_are_not_drawn() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    write_image(dir.path());
    let meta = TINY.meta(LabelKind::Single);
    fixtures::write_model(dir.path(), &TINY.biased([f32::NAN; 3]), Some(meta));
    let words = ["model.safetensors", "cat.bmp", "not finite"];
    assert_refused(&explain(dir.path(), &PICTURE), 1, &words);
    assert!(!dir.path().join("seen.png").exists());
}

#[test]
fn what_is_no_whole_image_is_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    write_image(dir.path());
    let path = dir.path().join("cat.bmp");
    fs::File::options().write(true).open(&path).unwrap().set_len(500).unwrap();
    assert_refused(
        &explain(dir.path(), &PICTURE),
        1,
        &["cat.bmp", "expected a whole JPEG"],
    );
    artifact::atomic::write_bytes(&path, b"meow").unwrap();
    assert_refused(&explain(dir.path(), &PICTURE), 1, &["cat.bmp", "not an image"]);
    fs::remove_file(&path).unwrap();
    assert_refused(&explain(dir.path(), &PICTURE), 1, &["cat.bmp", "No such file"]);
    assert!(!dir.path().join("seen.png").exists());
}

#[test]
fn pictures_go_where_they_can_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let image = write_image(dir.path());
    image.save(dir.path().join("cat.png")).unwrap();
    let pack = |flags: &[&str]| explain(dir.path(), &[&INPUTS[..], flags].concat());
    assert_refused(&pack(&["--overlay", "cat.bmp"]), 1, &["cat.bmp", "expected a folder"]);
    assert_refused(&pack(&["--overlay", "cat.bmp/seen"]), 1, &["cat.bmp/seen"]);
    let words = ["pack.safetensors has no sample 5", "0 to 4"];
    let flags = ["--overlay", "seen", "--samples", "1,3-5"];
    assert_refused(&pack(&flags), 1, &words);
    assert!(!dir.path().join("seen").exists());

    let file = |image, overlay| {
        let flags =
            ["--image", image, "--overlay", overlay, "--model", "model.safetensors"];
        explain(dir.path(), &flags)
    };
    fs::create_dir(dir.path().join("folder.png")).unwrap();
    assert_refused(&file("cat.bmp", "folder.png"), 1, &["folder.png", "found a folder"]);
    assert_refused(&file("cat.bmp", "seen.jpg"), 1, &["seen.jpg", ".png"]);
    assert_refused(&file("cat.png", "./cat.png"), 1, &["cat.png", "the image itself"]);
    let labelled = explain(dir.path(), &[&PICTURE[..], &["--target", "label"]].concat());
    assert_refused(&labelled, 1, &["--target label", "no label"]);
}

#[test]
fn flags_that_do_not_go_together_are_a_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let wrong = |flags: &[&str], words: &[&str]| {
        assert_refused(&explain(dir.path(), flags), 2, words);
    };
    wrong(&INPUTS, &["--output"]);
    wrong(&INPUTS[2..], &["--data"]);
    wrong(&PICTURE[..4], &["--overlay"]);
    wrong(&[&PICTURE[..], &INPUTS[..2]].concat(), &["--image", "--data"]);
    wrong(&[&PICTURE[..], &["--samples", "1"]].concat(), &["--image", "--samples"]);
    wrong(
        &[&PICTURE[..], &["--output", "m.safetensors"]].concat(),
        &["--image", "--output"],
    );
    let overlay = |flags: &[&str], words: &[&str]| {
        wrong(&[&INPUTS[..], &["--overlay", "seen"], flags].concat(), words);
    };
    overlay(&["--samples", "few"], &["0,5,10-19", "`few`"]);
    overlay(&["--colours", "hot"], &["inferno", "jet"]);
    assert!(!dir.path().join("seen").exists());
}
