//! Every operator on the GPU against the CPU, in every precision, at the shapes of networks.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "how near the two are: cargo test -- --nocapture")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "what other tests need is in it too")]
mod common;
mod comparison;
mod convolutions;
mod layers;

use comparison::Comparison;
use ops::Precision;

fn compare(precision: Precision) {
    let mut comparison = Comparison::open(precision);
    convolutions::compare(&mut comparison);
    layers::compare(&mut comparison);
    comparison.end();
}

#[test]
fn in_f32_the_gpu_computes_what_the_cpu_computes() {
    compare(Precision::F32);
}

#[test]
fn in_tf32_the_gpu_is_near_the_cpu() {
    compare(Precision::Tf32);
}

#[test]
fn in_bf16_the_gpu_is_not_far_from_the_cpu() {
    compare(Precision::Bf16);
}
