//! The loop through the Makefile, with the real stages on a tiny `shapes`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Small enough for seconds, large enough for every stage to have something to do.
const TINY: [&str; 6] = [
    "RUN=shapes",
    "T=2",
    "EPOCHS=2",
    "BATCH_SIZE=20",
    "PREPARE=--count 80 --test-count 20",
    "PROGRESS=none",
];

#[test]
fn a_run_ends_with_a_report_and_again_there_is_nothing_to_do() {
    let folder = scratch();
    let said = make(folder.path(), &[]);
    assert!(said.contains("round  accuracy  baseline"), "{said}");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("Where it comes from"));
    // Figure 4 of the paper: image, map, x̂ and new map; Figure 3: image and two maps
    let (strips, trios) = (r#"class="strip""#, r#"class="trio""#);
    let count = |what: &str| page.matches(what).count();
    assert!(count(strips) > 0 && count(trios) == 10, "{} {}", count(strips), count(trios));
    assert!(count("data:image/png") == 4 * count(strips) + 3 * count(trios));
    assert!(!page.contains("http://") && !page.contains("https://"), "not self-contained");

    let before = files(folder.path());
    let said = make(folder.path(), &[]);
    assert!(said.contains("Nothing to be done"), "{said}");
    assert_eq!(before, files(folder.path()));
}

#[test]
fn two_runs_from_scratch_are_equal_byte_for_byte() {
    let (one, other) = (scratch(), scratch());
    make(one.path(), &["rounds"]);
    // as many threads as the other has, and one less or more, give the same numbers
    make(other.path(), &["rounds", "RAYON_NUM_THREADS=1"]);
    assert_eq!(results(one.path()), results(other.path()));
}

#[test]
fn a_fused_run_scores_as_a_staged_one_and_ends_with_a_report() {
    let (staged, fused) = (scratch(), scratch());
    make(staged.path(), &["rounds"]);
    let said = make(fused.path(), &["FUSED=1"]);
    assert!(said.contains("round  accuracy  baseline"), "{said}");
    assert!(!fused.path().join("1/maps.safetensors").exists());
    // those of the second round are of a model that the first round's weights trained
    for table in ["1/scores.parquet", "2/scores.parquet"] {
        let scores =
            |run: &TempDir| artifact::Scores::read(&run.path().join(table)).unwrap().0;
        assert_eq!(scores(&fused), scores(&staged), "{table}");
    }
}

#[test]
fn a_run_killed_at_any_point_ends_as_if_it_had_not_been() {
    let whole = scratch();
    make(whole.path(), &["rounds"]);
    let expected = results(whole.path());

    let killed = scratch();
    let points = [
        "1/weights.parquet",
        "1/.checkpoint.safetensors",
        "1/model.safetensors",
        "1/maps.safetensors",
        "1/scores.parquet",
        "2/.checkpoint.safetensors",
        "2/perturbations.safetensors",
    ];
    let kills =
        points.iter().filter(|point| kill_when(killed.path(), &killed.path().join(point)));
    // a short step may be over before the signal arrives
    assert!(kills.count() >= points.len() - 2, "hardly anything was killed");
    make(killed.path(), &["rounds"]);
    assert_eq!(expected, results(killed.path()));
}

#[test]
fn plan_tells_what_a_changed_parameter_would_make_again() {
    let folder = scratch();
    make(folder.path(), &[]);
    let said = make(folder.path(), &["plan", "EPSILON=0.02"]);
    let line = |name: &str| said.lines().find(|l| l.contains(name)).unwrap().to_owned();
    assert!(line(" 1/maps.safetensors").contains("fresh"), "{said}");
    assert!(line(" 1/perturbations.safetensors").contains("fresh"), "{said}");
    assert!(line(" 1/perturbed-maps").contains("the flags of perturbed changed"), "{said}");
    assert!(line(" 2/model").contains("2/weights.parquet is newer"), "{said}");
}

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn command(out: &Path, extra: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.current_dir(root()).args(TINY).arg(format!("OUT={}", out.display())).args(extra);
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(variable);
    }
    make
}

/// Runs make to its end and returns what it printed.
fn make(out: &Path, extra: &[&str]) -> String {
    let output = command(out, extra).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Starts make, and kills it and its stages without warning as soon as `point` exists.
/// Was it still running?
fn kill_when(out: &Path, point: &Path) -> bool {
    let mut child = command(out, &["rounds"])
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_mins(2);
    while !point.exists() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "{} never came", point.display());
        sleep(Duration::from_millis(1));
    }
    let kill = format!("kill -9 -- -{}", child.id());
    Command::new("bash").args(["-c", &kill]).stderr(Stdio::null()).status().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

/// Digests of every artefact but the one that holds timings.
fn results(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for (path, _) in files(folder) {
        let name = path.file_name().unwrap().to_string_lossy();
        if name != "training.parquet"
            && !name.starts_with('.')
            && !path.starts_with(".stamps")
        {
            found.insert(path.clone(), artifact::digest(&folder.join(&path)).unwrap());
        }
    }
    assert!(found.len() > 20, "{:?}", found.keys());
    found
}

/// Every file below `folder`, with when it was written.
fn files(folder: &Path) -> BTreeMap<PathBuf, std::time::SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(folder).unwrap().to_owned();
                found.insert(path, entry.metadata().unwrap().modified().unwrap());
            }
        }
    }
    found
}
