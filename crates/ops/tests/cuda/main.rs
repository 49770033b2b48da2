//! Every operator on the GPU against the CPU, in every precision, at the shapes of networks.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "how near the two are: cargo test -- --nocapture")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "what other tests need is in it too")]
mod common;
mod comparison;
mod convolutions;
mod layers;

use std::process::Command;

use comparison::Comparison;
use ops::Precision;

/// Says that this is the process of one test.
const ALONE: &str = "OPS_TEST_ALONE";

/// A process computes in one precision: each test has a process of its own.
fn compare(precision: Precision, test: &str) {
    if std::env::var_os(ALONE).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let run = again.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output();
        let run = run.unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        println!("{}{}", said(&run.stdout), said(&run.stderr));
        assert!(run.status.success(), "{precision:?}: see above");
        return;
    }
    let mut comparison = Comparison::open(precision);
    convolutions::compare(&mut comparison);
    layers::compare(&mut comparison);
    comparison.end();
}

#[test]
fn in_f32_the_gpu_computes_what_the_cpu_computes() {
    compare(Precision::F32, "in_f32_the_gpu_computes_what_the_cpu_computes");
}

#[test]
fn in_tf32_the_gpu_is_near_the_cpu() {
    compare(Precision::Tf32, "in_tf32_the_gpu_is_near_the_cpu");
}

#[test]
fn in_bf16_the_gpu_is_not_far_from_the_cpu() {
    compare(Precision::Bf16, "in_bf16_the_gpu_is_not_far_from_the_cpu");
}
