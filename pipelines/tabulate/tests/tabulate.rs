//! The stage as make sees it: evaluations in, a table out, an exit code.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Output};

use artifact::{Comparison, Evaluation, Provenance, atomic::write_bytes};
use fixtures::{assert_refused, assert_succeeded};

fn tabulate(dir: &Path, flags: &[&str]) -> Output {
    let flags = [&["--runs", "runs.tsv", "--output", "table.parquet"][..], flags].concat();
    fixtures::run(env!("CARGO_BIN_EXE_tabulate"), dir, &flags)
}

const MEASURES: [&str; 4] =
    ["--measure", "accuracy, %=top1", "--measure", "mIoU=miou,all,grad-cam"];

/// Lists these runs: setting, method, seed, accuracy and mIoU.
fn runs(dir: &Path, runs: &[(&str, &str, &str, f64, f64)]) {
    let mut list = Vec::new();
    for (i, (setting, method, seed, top1, miou)) in runs.iter().enumerate() {
        let mut evaluation = Evaluation::default();
        evaluation.push("top1", "all", None, *top1, 8);
        evaluation.push("miou", "all", Some("grad-cam"), *miou, 8);
        evaluation
            .write(&dir.join(format!("{i}.parquet")), &Provenance::default())
            .unwrap();
        list.push(format!("{setting}\t{method}\t{seed}\t{i}.parquet\n"));
    }
    write_bytes(&dir.join("runs.tsv"), list.concat().as_bytes()).unwrap();
}

const RUNS: [(&str, &str, &str, f64, f64); 5] = [
    ("net", "plain", "0", 0.5, 0.25),
    ("net", "plain", "1", 0.75, 0.5),
    ("net", "ours", "0", 0.625, 0.25),
    ("net", "ours", "1", 1.0, 0.75),
    // no plain run has this seed
    ("net", "ours", "2", 0.25, 0.5),
];

#[test]
fn differences_are_of_the_same_seed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    runs(dir, &RUNS);
    let output = tabulate(dir, &[&MEASURES[..], &["--baseline", "plain"]].concat());
    assert_succeeded(&output);
    let (table, provenance) = Comparison::read(&dir.join("table.parquet")).unwrap();
    assert_eq!(table.method, ["plain", "plain", "ours", "ours"]);
    assert_eq!(table.seeds, [2, 2, 3, 3]);
    assert_eq!(table.mean, [0.625, 0.375, 0.625, 0.5]);
    // 0.125 and 0.25; 0 and 0.25
    assert_eq!(table.difference, [None, None, Some(0.1875), Some(0.125)]);
    let deviation = table.difference_deviation[2].unwrap();
    assert!((deviation - 0.125 / 2f64.sqrt()).abs() < 1e-12);
    // of one degree of freedom: p = 1 − 2 atan(t) / π, and t = 0.1875 / 0.0625
    let p = 1.0 - 2.0 * 3f64.atan() / std::f64::consts::PI;
    assert!((table.probability[2].unwrap() - p).abs() < 1e-9);
    let provenance = provenance.unwrap();
    fixtures::assert_input(&provenance, "net/ours/1", &dir.join("3.parquet"));

    let markdown = fs::read_to_string(dir.join("table.md")).unwrap();
    let line = markdown.lines().find(|line| line.starts_with("| ours")).unwrap();
    assert!(line.contains("62.5 ± 37.5 (+18.8 ± 8.8, p 0.20)"), "{line}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), markdown);
    assert!(fs::read_to_string(dir.join("table.html")).unwrap().contains("62.5 ± 37.5"));
}

#[test]
fn a_measure_may_be_a_difference_between_two_evaluations_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    runs(dir, &RUNS);
    let list = "net\tplain\t0\t0.parquet\t2.parquet\nnet\tplain\t1\t1.parquet\t3.parquet\n";
    write_bytes(&dir.join("runs.tsv"), list.as_bytes()).unwrap();
    let output = tabulate(dir, &["--measure", "gain, %=top1@2 - top1"]);
    assert_succeeded(&output);
    let (table, provenance) = Comparison::read(&dir.join("table.parquet")).unwrap();
    // 0.625 − 0.5 and 1 − 0.75
    assert_eq!(table.mean, [0.1875]);
    fixtures::assert_input(&provenance.unwrap(), "net/plain/1@2", &dir.join("3.parquet"));
    let output = tabulate(dir, &["--measure", "gain=top1@3"]);
    assert_refused(&output, 1, &["runs.tsv, line 1", "for @3, found 2"]);
}

#[test]
fn values_of_other_programs_are_compared_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let list =
        "net\tHNM\t1\tseconds\t2\nnet\tours\t1\tseconds\t5\nnet\tours\t1\tshare, %\t0.5\n";
    write_bytes(&dir.join("runs.tsv"), list.as_bytes()).unwrap();
    assert_succeeded(&tabulate(dir, &["--baseline", "HNM"]));
    let markdown = fs::read_to_string(dir.join("table.md")).unwrap();
    assert!(markdown.contains("| ours | 5.0000 (+3.0000) | 50.0 |"), "{markdown}");
    write_bytes(&dir.join("runs.tsv"), "net\tHNM\t1\tseconds\t2\tms\n".as_bytes()).unwrap();
    assert_refused(&tabulate(dir, &[]), 1, &["line 1", "found 6 words"]);
    assert_refused(
        &fixtures::run(
            env!("CARGO_BIN_EXE_tabulate"),
            dir,
            &["--runs", "runs.tsv", "--output", "page.md"],
        ),
        1,
        &["page.md", "Parquet"],
    );
    write_bytes(&dir.join("runs.tsv"), "net\tHNM\t1\tseconds\tNaN\n".as_bytes()).unwrap();
    assert_refused(&tabulate(dir, &[]), 1, &["line 1", "finite number, found NaN"]);
}

#[test]
fn the_papers_figures_are_marked_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    runs(dir, &RUNS[..1]);
    write_bytes(&dir.join("paper.tsv"), "ResNet-50\tours\taccuracy, %\t46.41\n".as_bytes())
        .unwrap();
    assert_succeeded(&tabulate(dir, &[&MEASURES[..], &["--paper", "paper.tsv"]].concat()));
    let markdown = fs::read_to_string(dir.join("table.md")).unwrap();
    assert!(markdown.contains("## ResNet-50 (from the paper: other data)"), "{markdown}");
    assert!(markdown.contains("| ours | 46.41 |"), "{markdown}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let refused = |flags: &[&str], code, words: &[&str]| {
        assert_refused(&tabulate(dir, flags), code, words);
        assert!(!dir.join("table.parquet").exists());
    };
    refused(&MEASURES, 1, &["runs.tsv"]);
    write_bytes(&dir.join("runs.tsv"), "".as_bytes()).unwrap();
    refused(&MEASURES, 1, &["runs.tsv", "found none"]);
    write_bytes(&dir.join("runs.tsv"), "net\tours\t0\n".as_bytes()).unwrap();
    refused(&MEASURES, 1, &["runs.tsv, line 1", "found 3 words"]);
    write_bytes(&dir.join("runs.tsv"), "net\tours\t0\tno.parquet\n".as_bytes()).unwrap();
    refused(&MEASURES, 1, &["no.parquet"]);
    runs(dir, &[RUNS[0], RUNS[0]]);
    refused(&MEASURES, 1, &["line 2", "listed twice"]);
    runs(dir, &RUNS);
    refused(&["--measure", "a=pxap"], 1, &["0.parquet", "expected pxap,all"]);
    refused(&[], 1, &["runs.tsv, line 1", "measure and value", "found 4 words"]);
    refused(&["--measure", "pxap"], 2, &["NAME=ROW"]);
    refused(&[&MEASURES[..], &["--baseline", "theirs"]].concat(), 1, &["baseline theirs"]);
}
