//! The stage as make sees it: files in, a file out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Output};

use artifact::{LabelKind, Labels, Provenance, Scores, Weights};
use fixtures::{Tiny, assert_input, assert_succeeded, stderr};
use models::{Mode, Normalization};
use ops::{Node, softmax};

const IMAGES: usize = 10;
const TINY: Tiny = Tiny {
    size: 16,
    images: IMAGES,
    norm: Normalization { mean: [0.5; 3], std: [0.125, 0.25, 0.5] },
};
const OUTPUT: &str = "weights.parquet";
const PREVIOUS: [&str; 2] = ["--previous", "previous.parquet"];
const MODEL: [&str; 2] = ["--model", "model.safetensors"];
const SCORES: [&str; 2] = ["--scores", "scores.parquet"];
const STRATEGIES: [&str; 6] =
    ["random", "all", "uncertainty", "ceal", "coreset", "consistency"];
/// Samples that are labelled in `previous.parquet`.
const LABELLED: [usize; 3] = [2, 5, 6];

fn select(dir: &Path, strategy: &str, flags: &[&[&str]]) -> Output {
    let common = ["--data", "pack.safetensors", "--output", OUTPUT, "--strategy", strategy];
    fixtures::run(
        env!("CARGO_BIN_EXE_select"),
        dir,
        &[&common, &flags.concat()[..]].concat(),
    )
}

/// Runs the stage, which must succeed, and reads what it wrote.
fn selected(dir: &Path, strategy: &str, flags: &[&[&str]]) -> (Weights, Provenance) {
    assert_succeeded(&select(dir, strategy, flags));
    let (weights, provenance) = Weights::read(&dir.join(OUTPUT)).unwrap();
    assert_eq!(weights.sample, (0..IMAGES as u32).collect::<Vec<_>>());
    assert_eq!(weights.weight, [1.0; IMAGES]);
    (weights, provenance.unwrap())
}

/// The labelled samples.
fn labelled(weights: &Weights) -> Vec<usize> {
    let labelled = weights.labelled(Path::new(OUTPUT), IMAGES).unwrap();
    (0..IMAGES).filter(|&i| labelled[i]).collect()
}

/// Those that were labelled by this run, beside [`LABELLED`].
fn added(dir: &Path, strategy: &str, flags: &[&[&str]]) -> Vec<usize> {
    let flags = [&[&PREVIOUS[..]], flags].concat();
    let (weights, _) = selected(dir, strategy, &flags);
    let all = labelled(&weights);
    assert!(LABELLED.iter().all(|sample| all.contains(sample)), "{all:?}");
    all.into_iter().filter(|sample| !LABELLED.contains(sample)).collect()
}

/// Asserts that the stage failed with this code and words, and wrote nothing.
#[track_caller]
fn refused(dir: &Path, output: &Output, code: i32, words: &[&str]) {
    fixtures::assert_refused(output, code, words);
    assert!(!dir.join(OUTPUT).exists());
}

fn write_pack(dir: &Path, labels: Vec<i64>) {
    TINY.write_pack(dir, Labels::Single(labels));
}

/// Pack, model, scores and earlier weights of the pack.
fn prepare(dir: &Path) {
    write_pack(dir, vec![0; IMAGES]);
    TINY.write_model(dir, LabelKind::Single);
    previous(dir, &LABELLED, &[]);
    scores(dir, &[0.5, 0.25, 0.0, 0.75, 1.0, 0.0, 0.0, 0.25, 0.5, 0.125]);
}

fn of_pack(dir: &Path) -> Provenance {
    let digest = artifact::digest(&dir.join("pack.safetensors")).unwrap();
    Provenance::default().with_input("data", digest)
}

fn weights(labelled: &[usize], pseudo: &[usize]) -> Weights {
    let selected = |i: &usize| labelled.contains(i) || pseudo.contains(i);
    Weights {
        sample: (0..IMAGES as u32).collect(),
        weight: vec![0.25; IMAGES],
        selected: (0..IMAGES).map(|i| selected(&i)).collect(),
        pseudo_label: (0..IMAGES).map(|i| pseudo.contains(&i).then_some(1)).collect(),
    }
}

fn previous(dir: &Path, labelled: &[usize], pseudo: &[usize]) {
    let path = dir.join("previous.parquet");
    weights(labelled, pseudo).write(&path, &of_pack(dir)).unwrap();
}

fn scores(dir: &Path, consistency: &[f32; IMAGES]) {
    let n = IMAGES;
    let scores = Scores {
        sample: (0..n as u32).collect(),
        label: vec![0; n],
        predicted: vec![0; n],
        predicted_perturbed: vec![Some(0); n],
        correct: vec![true; n],
        loss: vec![0.5; n],
        confidence: vec![0.5; n],
        entropy: vec![0.5; n],
        distance: vec![Some(1.0); n],
        inconsistency: vec![Some(0.5); n],
        consistency: consistency.iter().copied().map(Some).collect(),
        status: vec![0; n],
    };
    let provenance = of_pack(dir).with_input("model", "mmmm");
    scores.write(&dir.join("scores.parquet"), &provenance).unwrap();
}

/// Rows of what the network computes, at its last layer's input or output.
fn computed(features: bool) -> Vec<Vec<f32>> {
    let network = TINY.network();
    let pixels = Node::from(&TINY.tensor(&TINY.pixels()));
    let computed = if features {
        network.features(&pixels, &network.penultimate(), Mode::Eval)
    } else {
        network.forward(&pixels, Mode::Eval)
    };
    computed.unwrap().tensor().to_vec2().unwrap()
}

/// The samples without a label, by a number of each, the greatest first.
fn by(value: impl Fn(usize) -> f32) -> Vec<usize> {
    let mut open: Vec<usize> = (0..IMAGES).filter(|i| !LABELLED.contains(i)).collect();
    open.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
    open
}

fn ascending(samples: &[usize]) -> Vec<usize> {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples
}

#[test]
fn every_strategy_begins_with_the_same_random_samples() {
    let dir = tempfile::tempdir().unwrap();
    write_pack(dir.path(), vec![0; IMAGES]);
    let drawn =
        ascending(&data::draw(10, 7)[..3].iter().map(|&i| i as usize).collect::<Vec<_>>());
    for strategy in STRATEGIES.into_iter().filter(|&strategy| strategy != "all") {
        let (weights, provenance) = selected(dir.path(), strategy, &[&["--seed", "7"]]);
        assert_eq!(labelled(&weights), drawn, "{strategy}");
        assert_eq!(weights.pseudo_label, [None; IMAGES]);
        assert_eq!((provenance.stage.as_str(), provenance.seed), ("select", 7));
        assert_input(&provenance, "data", &dir.path().join("pack.safetensors"));
        assert_eq!(provenance.flags["initial"], "0.3");
        assert!(!provenance.flags.contains_key("share"));
    }
    let (other, _) = selected(dir.path(), "random", &[&["--seed", "8"]]);
    assert_ne!(labelled(&other), drawn);
    let (more, _) = selected(dir.path(), "ceal", &[&["--initial", "0.55"]]);
    assert_eq!(labelled(&more).len(), 6);
    let (all, provenance) = selected(dir.path(), "all", &[]);
    assert_eq!(labelled(&all).len(), IMAGES);
    assert!(!provenance.flags.contains_key("initial"));
}

#[test]
fn at_random_and_all_need_no_model() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let drawn: Vec<usize> = data::draw(10, 0).into_iter().map(|i| i as usize).collect();
    let open: Vec<usize> = drawn.into_iter().filter(|i| !LABELLED.contains(i)).collect();
    assert_eq!(added(dir.path(), "random", &[]), open[..1]);
    let three = ["--share", "0.3"];
    assert_eq!(added(dir.path(), "random", &[&three]), ascending(&open[..3]));
    assert_eq!(added(dir.path(), "random", &[&["--share", "1"]]).len(), 7);
    assert_eq!(added(dir.path(), "all", &[]).len(), 7);
}

#[test]
fn uncertainty_adds_what_the_network_is_least_sure_of() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let logits = computed(false);
    let sorted = |i: usize| {
        let mut p = softmax::softmax(&logits[i]);
        p.sort_by(|a, b| b.total_cmp(a));
        p
    };
    let entropy = by(|i| softmax::entropy(&logits[i]));
    let margin = by(|i| sorted(i)[1] - sorted(i)[0]);
    let least = by(|i| -sorted(i)[0]);
    let three = ["--share", "0.3"];
    assert_eq!(added(dir.path(), "uncertainty", &[&MODEL]), entropy[..1]);
    for (measure, order) in
        [("entropy", entropy), ("margin", margin), ("least-confidence", least)]
    {
        for batch_size in ["1", "3", "64"] {
            let flags = ["--measure", measure, "--batch-size", batch_size];
            let found = added(dir.path(), "uncertainty", &[&MODEL, &three, &flags]);
            assert_eq!(found, ascending(&order[..3]), "{measure}");
        }
    }
    let (_, provenance) = selected(dir.path(), "uncertainty", &[&PREVIOUS, &MODEL]);
    for (role, file) in [
        ("data", "pack.safetensors"),
        ("model", "model.safetensors"),
        ("previous", "previous.parquet"),
    ] {
        assert_input(&provenance, role, &dir.path().join(file));
    }
    let flags = [("measure", "entropy"), ("share", "0.1"), ("strategy", "uncertainty")];
    let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(provenance.flags.into_iter().collect::<Vec<_>>(), flags);
}

#[test]
fn ceal_takes_certain_predictions_for_labels_for_one_round() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let logits = computed(false);
    let entropy = |i: usize| softmax::entropy(&logits[i]);
    let order = by(entropy);
    // falls to what only the three most certain of seven are below
    let delta = (f32::midpoint(entropy(order[3]), entropy(order[4])) + 0.5).to_string();
    let flags = ["--round", "3", "--delta", &delta, "--delta-decay", "0.25"];
    let flags = [&PREVIOUS[..], &MODEL, &["--share", "0.2"], &flags];
    let (weights, provenance) = selected(dir.path(), "ceal", &flags);
    let mut labels = vec![None; IMAGES];
    let predicted = TINY.predicted();
    for &sample in &order[4..] {
        labels[sample] = Some(predicted[sample] as i32);
    }
    assert_eq!(weights.pseudo_label, labels);
    let chosen = ascending(&[&LABELLED, &order[..2]].concat());
    assert_eq!(labelled(&weights), chosen);
    assert_eq!(weights.selected.iter().filter(|&&selected| selected).count(), 8);
    assert_eq!(provenance.flags["round"], "3");
    let output = select(dir.path(), "ceal", &flags);
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in
        ["labelled before        3", "added                  2", "pseudo-labelled        3"]
    {
        assert!(printed.contains(line), "{printed}");
    }

    // in the next round they are not labelled, and may be chosen
    fs::rename(dir.path().join(OUTPUT), dir.path().join("previous.parquet")).unwrap();
    let flags = ["--round", "4", "--share", "0.4"];
    let (weights, _) = selected(dir.path(), "ceal", &[&PREVIOUS, &MODEL, &flags]);
    assert_eq!(labelled(&weights), ascending(&[&LABELLED, &order[..6]].concat()));
    // 0.05 − 3 · 0.0033 is less than the entropy of an untrained network
    assert_eq!(weights.pseudo_label, [None; IMAGES]);
}

#[test]
fn coreset_adds_what_is_farthest_from_all_that_are_labelled() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let features = computed(true);
    let distance = |i: usize, j: usize| -> f32 {
        features[i].iter().zip(&features[j]).map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let mut centres = LABELLED.to_vec();
    for _ in 0..3 {
        let nearest =
            |i: usize| centres.iter().map(|&j| distance(i, j)).fold(f32::MAX, f32::min);
        let farthest = (0..IMAGES).max_by(|&a, &b| nearest(a).total_cmp(&nearest(b)));
        centres.push(farthest.unwrap());
    }
    let found = added(dir.path(), "coreset", &[&MODEL, &["--share", "0.3"]]);
    assert_eq!(found, ascending(&centres[3..]));
    // sets of labels do not matter to it
    TINY.write_pack(dir.path(), Labels::Multi { classes: 3, hot: vec![1; 3 * IMAGES] });
    TINY.write_model(dir.path(), LabelKind::Multi);
    previous(dir.path(), &LABELLED, &[]);
    let again = added(dir.path(), "coreset", &[&MODEL, &["--share", "0.3"]]);
    assert_eq!(again, found);
}

#[test]
fn consistency_adds_the_lowest_and_of_equals_the_first() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    assert_eq!(added(dir.path(), "consistency", &[&SCORES]), [9]);
    assert_eq!(added(dir.path(), "consistency", &[&SCORES, &["--share", "0.2"]]), [1, 9]);
    let four = ["--share", "0.4"];
    assert_eq!(added(dir.path(), "consistency", &[&SCORES, &four]), [0, 1, 7, 9]);
    let (_, provenance) = selected(dir.path(), "consistency", &[&PREVIOUS, &SCORES]);
    assert_input(&provenance, "scores", &dir.path().join("scores.parquet"));
    assert_eq!(provenance.of("model"), Some("mmmm"));
}

#[test]
fn labels_do_not_matter_and_equal_inputs_give_equal_bytes() {
    let mut found = Vec::new();
    for labels in [vec![0; IMAGES], TINY.labels(&[1, 3])] {
        let dir = tempfile::tempdir().unwrap();
        write_pack(dir.path(), labels);
        TINY.write_model(dir.path(), LabelKind::Single);
        previous(dir.path(), &LABELLED, &[]);
        let mut chosen = vec![labelled(&selected(dir.path(), "random", &[]).0)];
        for strategy in ["uncertainty", "coreset"] {
            let flags = [&PREVIOUS[..], &MODEL];
            chosen.push(labelled(&selected(dir.path(), strategy, &flags).0));
            let bytes = fs::read(dir.path().join(OUTPUT)).unwrap();
            assert_succeeded(&select(dir.path(), strategy, &flags));
            assert!(fs::read(dir.path().join(OUTPUT)).unwrap() == bytes, "{strategy}");
        }
        found.push(chosen);
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn where_all_are_labelled_nothing_is_added() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let all: Vec<usize> = (0..IMAGES).collect();
    previous(dir.path(), &all, &[]);
    let none: [&str; 0] = [];
    for (strategy, flags) in [
        ("random", &none[..]),
        ("all", &none),
        ("uncertainty", &MODEL),
        ("coreset", &MODEL),
        ("consistency", &SCORES),
    ] {
        let (weights, _) = selected(dir.path(), strategy, &[&PREVIOUS, flags]);
        assert_eq!(labelled(&weights), all, "{strategy}");
    }
}

#[test]
fn files_of_another_pack_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    write_pack(dir.path(), vec![1; IMAGES]);
    let words = ["previous.parquet", "pack.safetensors", "data"];
    let random = || select(dir.path(), "random", &[&PREVIOUS]);
    refused(dir.path(), &random(), 1, &words);

    previous(dir.path(), &LABELLED, &[]);
    let output = select(dir.path(), "consistency", &[&PREVIOUS, &SCORES]);
    refused(dir.path(), &output, 1, &["scores.parquet", "pack.safetensors", "data"]);

    // of a table that does not know its pack, the samples tell
    let Weights { mut sample, weight, selected, pseudo_label } = weights(&LABELLED, &[]);
    sample[4] = 10;
    let foreign = Weights { sample, weight, selected, pseudo_label };
    foreign.write(&dir.path().join("previous.parquet"), &Provenance::default()).unwrap();
    refused(dir.path(), &random(), 1, &["previous.parquet", "sample 10"]);
}

#[test]
fn scores_behind_the_gate_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let path = dir.path().join("scores.parquet");
    let (mut scores, provenance) = Scores::read(&path).unwrap();
    (scores.correct[4], scores.consistency[4]) = (false, None);
    scores.write(&path, &provenance.unwrap()).unwrap();
    let output = select(dir.path(), "consistency", &[&PREVIOUS, &SCORES]);
    refused(dir.path(), &output, 1, &["scores.parquet", "sample 4", "audit --unlabelled"]);
}

#[test]
fn a_network_that_computes_no_numbers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let broken = TINY.biased([f32::NAN; 3]);
    fixtures::write_model(dir.path(), &broken, Some(TINY.meta(LabelKind::Single)));
    let output = select(dir.path(), "uncertainty", &[&PREVIOUS, &MODEL]);
    let words = ["model.safetensors", "pack.safetensors", "finite", "sample 0"];
    refused(dir.path(), &output, 1, &words);
}

#[test]
fn sets_of_labels_have_no_uncertainty() {
    let dir = tempfile::tempdir().unwrap();
    TINY.write_pack(dir.path(), Labels::Multi { classes: 3, hot: vec![1; 3 * IMAGES] });
    TINY.write_model(dir.path(), LabelKind::Multi);
    previous(dir.path(), &LABELLED, &[]);
    let output = select(dir.path(), "uncertainty", &[&PREVIOUS, &MODEL]);
    refused(dir.path(), &output, 1, &["pack.safetensors", "one label an image"]);
}

/// A strategy, its flags and what is said of them.
type Case<'a> = (&'a str, &'a [&'a [&'a str]], &'a [&'a str]);

#[test]
fn flags_that_say_nothing_or_are_missing_are_a_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let ceal = [&PREVIOUS[..], &MODEL, &["--round", "2"]].concat();
    let wrong: [Case<'_>; 22] = [
        ("random", &[&MODEL, &PREVIOUS], &["--model says nothing to --strategy random"]),
        ("random", &[&SCORES, &PREVIOUS], &["--scores says nothing"]),
        ("all", &[&["--initial", "0.5"]], &["--initial says nothing to --strategy all"]),
        ("all", &[&PREVIOUS, &["--share", "0.5"]], &["--share says nothing"]),
        ("consistency", &[&PREVIOUS], &["--strategy consistency", "needs --scores"]),
        ("consistency", &[&PREVIOUS, &SCORES, &MODEL], &["--model says nothing"]),
        ("uncertainty", &[&PREVIOUS], &["needs --model"]),
        ("uncertainty", &[&PREVIOUS, &MODEL, &SCORES], &["--scores says nothing"]),
        ("uncertainty", &[&ceal], &["--round says nothing"]),
        ("coreset", &[&PREVIOUS], &["needs --model"]),
        ("coreset", &[&PREVIOUS, &MODEL, &["--measure", "margin"]], &["--measure says"]),
        ("ceal", &[&PREVIOUS, &MODEL], &["needs --round"]),
        ("uncertainty", &[&PREVIOUS, &MODEL, &["--delta", "1"]], &["--delta says"]),
        ("coreset", &[&PREVIOUS, &MODEL, &["--delta-decay", "1"]], &["--delta-decay says"]),
        ("random", &[&["--share", "0.5"]], &["--previous"]),
        ("uncertainty", &[&MODEL], &["--previous"]),
        ("random", &[&PREVIOUS, &["--initial", "0.5"]], &["--initial", "--previous"]),
        ("random", &[&PREVIOUS, &["--arch", "resnet20"]], &["--model"]),
        ("random", &[&["--initial", "0"]], &["--initial", "above 0"]),
        ("random", &[&PREVIOUS, &["--share", "1.5"]], &["--share", "at most 1"]),
        ("ceal", &[&PREVIOUS, &MODEL, &["--round", "1"]], &["--round", "2"]),
        ("guess", &[], &["--strategy"]),
    ];
    for (strategy, flags, words) in wrong {
        let output = select(dir.path(), strategy, flags);
        assert!(!stderr(&output).contains("panicked"));
        refused(dir.path(), &output, 2, words);
    }
    assert_succeeded(&select(dir.path(), "ceal", &[&ceal]));
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    refused(dir.path(), &select(dir.path(), "random", &[]), 1, &["pack.safetensors"]);
    write_pack(dir.path(), vec![0; IMAGES]);
    let output = select(dir.path(), "random", &[&PREVIOUS]);
    refused(dir.path(), &output, 1, &["previous.parquet"]);
    previous(dir.path(), &LABELLED, &[]);
    let output = select(dir.path(), "coreset", &[&PREVIOUS, &MODEL]);
    refused(dir.path(), &output, 1, &["model.safetensors"]);
    let output = select(dir.path(), "consistency", &[&PREVIOUS, &SCORES]);
    refused(dir.path(), &output, 1, &["scores.parquet"]);
}
