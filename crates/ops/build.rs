//! Compiles the kernels, where the feature `cuda` is on: each `.cu` beside its operator to PTX,
//! which the driver translates for the GPU that it finds.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The files of kernels, by their operators.
const KERNELS: [&str; 11] = [
    "batch_norm/batch_norm",
    "cam/cam",
    "conv/conv",
    "conv/depthwise",
    "dropout/dropout",
    "loss/loss",
    "map/map",
    "normalize/normalize",
    "optimizer/optimizer",
    "perturb/perturb",
    "pool/pool",
];

fn main() {
    for header in ["kernel", "pack", "rows"] {
        println!("cargo::rerun-if-changed=src/cuda/{header}.cuh");
    }
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let nvcc = nvcc();
    // PTX of 8.0 runs on every GPU since the A100; that of 9.0 is translated better for an H100
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".to_owned());
    for kernel in KERNELS {
        let source = format!("src/{kernel}.cu");
        println!("cargo::rerun-if-changed={source}");
        let status = Command::new(&nvcc)
            .args(["--ptx", "-O3", "--std=c++17", "-Isrc/cuda", "-lineinfo"])
            .arg(format!("-arch=compute_{capability}"))
            .arg("--output-directory")
            .arg(&out)
            .arg(&source)
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                panic!("{} cannot compile {source}: {status}", nvcc.display())
            }
            Err(error) => panic!(
                "the feature `cuda` needs nvcc, the CUDA compiler: {} does not run ({error}); \
                 set NVCC or CUDA_HOME, or see scripts/cuda-toolchain.sh",
                nvcc.display(),
            ),
        }
    }
}

/// That of the environment, of its CUDA installation, or of the path.
fn nvcc() -> PathBuf {
    if let Some(nvcc) = env::var_os("NVCC") {
        return nvcc.into();
    }
    match env::var_os("CUDA_HOME") {
        Some(home) => Path::new(&home).join("bin/nvcc"),
        None => "nvcc".into(),
    }
}
