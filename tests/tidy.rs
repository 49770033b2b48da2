//! The house rules that a compiler does not check: layers, file sizes, unfinished work.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The layer of each library crate; a dependency points to a strictly lower one.
const LAYERS: [(&str, u8); 13] = [
    ("artifact", 0),
    ("ops", 0),
    ("stage", 1),
    ("data", 1),
    ("models", 1),
    ("pictures", 1),
    ("consistency", 1),
    ("attack", 2),
    ("explain", 2),
    ("metrics", 2),
    ("performer", 2),
    ("scores", 2),
    // beside the stages: they may use it in their tests, and nowhere else
    ("fixtures", STAGE),
];
const STAGE: u8 = 3;

/// Mathematics touches no file, flag, clock or global random state.
const PURE: [&str; 6] = ["ops", "consistency", "pictures", "attack", "explain", "metrics"];

/// A file longer than this holds more than one idea; tests may tell more cases.
const LONGEST_FILE: usize = 310;
const LONGEST_TEST: usize = 500;

#[test]
fn a_dependency_points_to_a_lower_layer_and_no_stage_uses_a_stage() {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let layer = layers.get(name).copied().unwrap_or(STAGE);
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            if dependency["path"].is_null() || dependency["kind"] == "dev" {
                continue;
            }
            let below = layers.get(used).copied().unwrap_or(STAGE);
            assert!(below < layer, "{name} (layer {layer}) uses {used} (layer {below})");
        }
    }
}

#[test]
fn every_library_crate_has_a_layer() {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let crates = fs::read_dir(root().join("crates")).unwrap();
    for folder in crates {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(layers.contains_key(name.as_str()), "crates/{name} is in no layer");
    }
}

/// Words of files, the environment, clocks, random state of their own, flags and artefacts.
const FOREIGN: [&str; 10] = [
    "fs::",
    "fs,",
    "File::",
    "env::",
    "env,",
    "Instant",
    "SystemTime",
    "thread_rng",
    "clap::",
    "artifact::",
];

#[test]
fn mathematics_touches_no_file_no_flag_and_no_clock() {
    for name in PURE {
        for (path, text) in sources(&root().join("crates").join(name).join("src")) {
            let code = text.split("#[cfg(test)]").next().unwrap();
            for forbidden in FOREIGN {
                assert!(!code.contains(forbidden), "{} uses {forbidden}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_code_stands_only_in_ops_and_under_memory_maps() {
    for (path, text) in all_sources() {
        let allowed = path.starts_with(root().join("crates/ops/src"))
            || text.contains("Mmap") && path.starts_with(root().join("crates"));
        assert!(
            allowed || !text.contains(&["unsa", "fe {"].concat()),
            "{}",
            path.display()
        );
    }
}

#[test]
fn no_file_is_too_long_and_nothing_is_left_unfinished() {
    // Spelled in two halves so that this file does not find itself.
    let marks = [
        ["to", "do!("],
        ["unimpl", "emented!("],
        ["#[ign", "ore"],
        ["db", "g!("],
        ["FIX", "ME"],
    ];
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        let most = if is_test { LONGEST_TEST } else { LONGEST_FILE };
        assert!(lines <= most, "{} has {lines} lines", path.display());
        for mark in &marks {
            assert!(
                !text.contains(&mark.concat()),
                "{}: {}",
                path.display(),
                mark.concat()
            );
        }
        assert!(
            !text.contains(&["#[al", "low("].concat()),
            "{}: expect, with a reason",
            path.display()
        );
    }
}

#[test]
fn every_stage_of_the_makefile_is_a_binary() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let line = makefile.lines().find(|l| l.starts_with("PROGRAMS :=")).unwrap();
    for stage in line.split_whitespace().skip(2) {
        assert!(
            root().join("pipelines").join(stage).join("src/main.rs").is_file(),
            "{stage}"
        );
    }
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn all_sources() -> Vec<(PathBuf, String)> {
    ["crates", "pipelines", "tests"].iter().flat_map(|d| sources(&root().join(d))).collect()
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}
