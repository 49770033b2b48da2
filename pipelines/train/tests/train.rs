//! The stage as make sees it: files in, files out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use artifact::{
    LabelKind, Labels, ModelFile, OptimizerFile, PackData, PackMeta, Provenance, Training,
    Weights,
};

const FILES: [&str; 2] = ["model.safetensors", "optimizer.safetensors"];

/// Images of 16×16 pixels, which a 64×64 pack of shapes has in its middle.
fn pack(path: &Path, count: usize, seed: u64) {
    write_pack(path, &small(data::shapes::generate(count, "train", seed, &|_| ())));
}

fn write_pack(path: &Path, pack: &PackData) {
    pack.write(path, &Provenance::default()).unwrap();
}

fn small(pack: PackData) -> PackData {
    let middle = |images: &[u8]| {
        let rows = images.chunks(64).enumerate();
        let kept = rows.filter(|(row, _)| (24..40).contains(&(row % 64)));
        kept.flat_map(|(_, row)| row[24..40].to_vec()).collect()
    };
    PackData {
        height: 16,
        width: 16,
        images: middle(&pack.images),
        masks: pack.masks.as_deref().map(middle),
        ..pack
    }
}

/// The command `train` in `dir`, with resnet20 on `pack.safetensors` unless told otherwise.
fn command(dir: &Path, output: &str, flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command.current_dir(dir).args(flags.split_whitespace());
    for (flag, value) in
        [("--data", "pack.safetensors"), ("--arch", "resnet20"), ("--batch-size", "8")]
    {
        if !flags.contains(flag) {
            command.args([flag, value]);
        }
    }
    command.args([
        "--progress",
        "none",
        "--output",
        &format!("{output}/model.safetensors"),
    ]);
    command
}

fn train(dir: &Path, output: &str, flags: &str) {
    let done = command(dir, output, flags).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
}

/// What a run that fails says, after a check that it wrote nothing.
fn refusal(dir: &Path, flags: &str) -> String {
    let done = command(dir, "refused", flags).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    for file in FILES {
        assert!(!dir.join("refused").join(file).exists());
    }
    said(&done)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_same_bytes(dir: &Path, a: &str, b: &str) {
    for file in FILES {
        let read = |run: &str| fs::read(dir.join(run).join(file)).unwrap();
        assert!(read(a) == read(b), "{file} of {a} and {b} differ");
    }
}

fn assert_same_tensors(dir: &Path, a: &str, b: &str) {
    let model = |run: &str| ModelFile::read(&dir.join(run).join(FILES[0])).unwrap().tensors;
    let optimizer =
        |run: &str| OptimizerFile::read(&dir.join(run).join(FILES[1])).unwrap().tensors;
    for (a, b) in [(model(a), model(b)), (optimizer(a), optimizer(b))] {
        assert!(a.keys().eq(b.keys()));
        for (name, tensor) in &a {
            let bytes = |t: &candle_core::Tensor| {
                let flat = t.flatten_all().unwrap();
                match flat.to_vec1::<f32>() {
                    Ok(values) => values.iter().map(|v| u64::from(v.to_bits())).collect(),
                    Err(_) => vec![flat.to_vec1::<i64>().unwrap()[0].cast_unsigned()],
                }
            };
            assert_eq!(bytes(tensor), bytes(&b[name]), "{name}");
        }
    }
}

#[test]
fn two_rounds_of_one_epoch_are_one_of_two() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 21, 0);
    for (name, flags) in [
        ("adam", "--flip --crop-padding 2 --jitter 0.2 --learning-rate 0.001"),
        ("sgd", "--optimizer sgd --learning-rate 0.1 --decay-every 1 --weight-decay 1e-4"),
        ("focal", "--loss focal --gamma 1.5 --learning-rate 0.001"),
        ("equalized", "--loss equalized-focal --learning-rate 0.001"),
    ] {
        let (first, second, both) =
            (format!("{name}/1"), format!("{name}/2"), format!("{name}/both"));
        train(dir, &first, &format!("--epochs 1 {flags}"));
        train(dir, &second, &format!("--epochs 1 {flags} --previous {first}"));
        train(dir, &both, &format!("--epochs 2 {flags}"));
        assert_same_tensors(dir, &second, &both);

        let state = |run: &str| {
            let run = dir.join(run);
            let model = ModelFile::read(&run.join(FILES[0])).unwrap().meta.unwrap();
            let optimizer = OptimizerFile::read(&run.join(FILES[1])).unwrap().state;
            let rows = Training::read(&run.join("training.parquet")).unwrap().0;
            (model.round, model.epoch, optimizer, rows.round, rows.epoch, rows.step)
        };
        let (two, one) = (state(&second), state(&both));
        assert_eq!((two.0, one.0), (2, 1));
        assert_eq!((two.1, &two.2), (one.1, &one.2));
        // 21 images are batches of 8, 8 and 5
        assert_eq!((two.3, two.4, two.5), (vec![2], vec![2], vec![6]));
        assert_eq!((one.3, one.4, one.5), (vec![1, 1], vec![1, 2], vec![3, 6]));
    }
}

#[test]
fn two_runs_are_the_same_bytes_and_weights_of_one_are_no_weights() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 20, 0);
    weights(&dir.join("weights.parquet"), &[1.0; 20], &dir.join("pack.safetensors"));
    let flags = "--epochs 1 --resized-crop 0.5 --seed 3";
    train(dir, "a", flags);
    train(dir, "b", flags);
    assert_same_bytes(dir, "a", "b");
    assert!(!dir.join("a/.checkpoint.safetensors").exists());

    train(dir, "weighted", &format!("{flags} --weights weights.parquet"));
    assert_same_tensors(dir, "a", "weighted");
    train(
        dir,
        "divided",
        &format!("{flags} --weights weights.parquet --normalize weights"),
    );
    assert_same_tensors(dir, "a", "divided");
}

fn weights(path: &Path, weight: &[f32], pack: &Path) {
    let provenance =
        Provenance::default().with_input("data", artifact::digest(pack).unwrap());
    let n = weight.len();
    Weights {
        sample: (0..n as u32).collect(),
        weight: weight.to_vec(),
        selected: vec![true; n],
        pseudo_label: vec![None; n],
    }
    .write(path, &provenance)
    .unwrap();
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 48, 0);
    let flags = "--epochs 6 --flip --resume";
    train(dir, "whole", flags);

    let checkpoint = dir.join("killed/.checkpoint.safetensors");
    let mut child = command(dir, "killed", flags).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !checkpoint.exists() && start.elapsed() < Duration::from_mins(5) {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists(), "killed too late");
    assert!(!dir.join("killed/model.safetensors").exists(), "killed too late");

    let resumed = command(dir, "killed", flags).output().unwrap();
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert!(said(&resumed).contains("going on after epoch"), "{}", said(&resumed));
    assert_same_bytes(dir, "whole", "killed");
    assert!(!checkpoint.exists());
    let rows = Training::read(&dir.join("killed/training.parquet")).unwrap().0;
    assert_eq!(rows.epoch, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn an_interrupted_run_exits_130_and_leaves_its_last_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 48, 0);
    let checkpoint = dir.join("run/.checkpoint.safetensors");
    let mut child =
        command(dir, "run", "--epochs 1000").stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !checkpoint.exists() && start.elapsed() < Duration::from_mins(5) {
        thread::sleep(Duration::from_millis(1));
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("bash").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(checkpoint.exists());
    assert!(!dir.join("run/model.safetensors").exists());
}

#[test]
fn a_checkpoint_of_other_flags_is_left_aside() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    train(dir, "plain", "--epochs 1");
    fs::create_dir(dir.join("run")).unwrap();
    let checkpoint = dir.join("run/.checkpoint.safetensors");
    fs::copy(dir.join("plain/model.safetensors"), checkpoint).unwrap();
    let flags = "--epochs 1 --learning-rate 0.01 --resume";
    let done = command(dir, "run", flags).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("`learning-rate` was 0.0001, is 0.01"), "{}", said(&done));
}

#[test]
fn what_is_of_another_pack_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    pack(&dir.join("other.safetensors"), 8, 1);
    pack(&dir.join("larger.safetensors"), 9, 0);

    weights(&dir.join("w.parquet"), &[1.0; 8], &dir.join("other.safetensors"));
    let error = refusal(dir, "--epochs 1 --weights w.parquet");
    assert!(error.contains("w.parquet") && error.contains("pack.safetensors"), "{error}");

    // of the right pack, it says, but of another size
    weights(&dir.join("w.parquet"), &[1.0; 9], &dir.join("pack.safetensors"));
    let error = refusal(dir, "--epochs 1 --weights w.parquet");
    assert!(error.contains("unknown sample 8"), "{error}");
    weights(&dir.join("w.parquet"), &[1.0; 7], &dir.join("pack.safetensors"));
    let error = refusal(dir, "--epochs 1 --weights w.parquet");
    assert!(error.contains("sample 7 is missing"), "{error}");

    train(dir, "other", "--epochs 1 --data other.safetensors");
    let error = refusal(dir, "--epochs 1 --previous other");
    assert!(error.contains("other/model.safetensors"), "{error}");
    assert!(error.contains("pack.safetensors"), "{error}");
}

#[test]
fn a_round_before_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    train(dir, "first", "--epochs 1");
    let other = refusal(dir, "--epochs 1 --previous first --optimizer sgd");
    assert!(other.contains("first/optimizer.safetensors"), "{other}");
    let adam = refusal(dir, "--epochs 1 --momentum 0.5");
    assert!(adam.contains("--optimizer sgd"), "{adam}");
    let other = refusal(dir, "--epochs 1 --previous first --mean 0,0,0");
    assert!(other.contains("was trained with mean"), "{other}");

    let mut three = small(data::shapes::generate(9, "train", 0, &|_| ()));
    three.meta.classes.truncate(3);
    three.labels = Labels::Single((0..9).map(|i| i % 3).collect());
    write_pack(&dir.join("pack.safetensors"), &three);
    let error = refusal(dir, "--epochs 1 --init first/model.safetensors");
    assert!(error.contains("--fresh-head"), "{error}");
    train(dir, "fresh", "--epochs 1 --init first/model.safetensors --fresh-head");
    let error = refusal(dir, "--epochs 1 --previous first");
    assert!(error.contains("10 classes") && error.contains("3 classes"), "{error}");
}

#[test]
fn an_output_that_would_replace_an_input_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    train(dir, "first", "--epochs 1");
    let read = || FILES.map(|file| fs::read(dir.join("first").join(file)).unwrap());
    let before = read();
    for flags in ["--previous first", "--init first/model.safetensors"] {
        let done = command(dir, "first", &format!("--epochs 1 {flags}")).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{flags}");
        assert!(said(&done).contains("give another path"), "{}", said(&done));
    }
    assert!(read() == before);
}

#[test]
fn a_crop_that_may_miss_the_image_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    let error = refusal(dir, "--epochs 1 --crop-padding 17");
    assert!(error.contains("at most 16"), "{error}");
    train(dir, "whole", "--epochs 1 --crop-padding 16");
}

#[test]
fn what_is_not_finite_stops_with_the_samples() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    let error =
        refusal(dir, "--epochs 9 --optimizer sgd --learning-rate 1e30 --batch-size 4");
    assert!(error.contains("epoch 1, step"), "{error}");
    let listed = |ids: &str| {
        let mut ids: Vec<u32> =
            ids.split(", ").filter_map(|id| id.trim().parse().ok()).collect();
        ids.dedup();
        ids.len() == 4 && ids.iter().all(|&id| id < 8)
    };
    let parts: Vec<&str> = error.split(['[', ']']).collect();
    assert!(parts.iter().any(|part| listed(part)), "{error}");
}

#[test]
fn images_may_have_several_classes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let single = small(data::shapes::generate(10, "train", 0, &|_| ()));
    let hot = (0..10).flat_map(|i| (0..10).map(move |k| u8::from(k == i || k == 0)));
    let multi = PackData {
        meta: PackMeta { labels: LabelKind::Multi, ..single.meta.clone() },
        labels: Labels::Multi { classes: 10, hot: hot.collect() },
        ..single
    };
    write_pack(&dir.join("pack.safetensors"), &multi);
    train(dir, "run", "--epochs 2 --learning-rate 0.01");
    let meta = ModelFile::read(&dir.join("run/model.safetensors")).unwrap().meta.unwrap();
    assert_eq!(meta.labels, Some(LabelKind::Multi));
    let rows = Training::read(&dir.join("run/training.parquet")).unwrap().0;
    assert!(rows.loss[1] < rows.loss[0], "{:?}", rows.loss);
}

#[test]
fn a_single_image_and_a_lone_last_one_can_be_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for count in [1, 9] {
        pack(&dir.join("pack.safetensors"), count, 0);
        train(dir, &format!("run{count}"), "--epochs 1");
        let path = dir.join(format!("run{count}/training.parquet"));
        assert_eq!(Training::read(&path).unwrap().0.step, [1]);
    }
}

#[test]
fn a_batch_without_weight_teaches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pack(&dir.join("pack.safetensors"), 8, 0);
    weights(&dir.join("w.parquet"), &[0.0; 8], &dir.join("pack.safetensors"));
    train(dir, "run", "--epochs 1 --weights w.parquet --normalize weights");
    let rows = Training::read(&dir.join("run/training.parquet")).unwrap().0;
    assert_eq!((rows.step, rows.loss), (vec![0], vec![0.0]));
}
