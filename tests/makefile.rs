//! The Makefile's promises, with stand-ins for the stages: what a change makes run again, and what experiments share.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{path::Path, process::Command};

#[test]
fn every_claim_of_the_makefile_holds() {
    claims("claims.sh", 90);
}

#[test]
fn every_claim_of_the_experiments_holds() {
    claims("experiments.sh", 25);
}

/// Runs a script that prints a line for each of at least so many claims.
fn claims(script: &str, least: usize) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("makefile").join(script);
    let output = Command::new("bash").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.matches("\nok ").count() + 1 >= least,
        "too few claims were checked:\n{said}"
    );
}
