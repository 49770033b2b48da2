//! The Makefile's promises, with stand-ins for the stages: what a change makes run again.

use std::{path::Path, process::Command};

#[test]
fn every_claim_of_the_makefile_holds() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("makefile/claims.sh");
    let output = Command::new("bash").arg(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.matches("\nok ").count() > 40, "too few claims were checked:\n{said}");
}
