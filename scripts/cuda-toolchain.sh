#!/usr/bin/env bash
# What it takes to build with CUDA where there is neither a GPU nor CUDA: cuda-toolchain.sh [PREFIX]
#
# Installs the compiler and the headers of CUDA 13.0 from PyPI (110 MB to fetch, 300 MB in PREFIX, by default
# ~/.cache/consonance/cuda-13.0), and makes libraries to link with. Says at last which file to source:
#
#     . "$(scripts/cuda-toolchain.sh)"
#     cargo build --release --features ops/cuda
#
# Needs python3 with venv, a C compiler and cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=$(realpath -m "${1:-$HOME/.cache/consonance/cuda-13.0}")
environment=$prefix/env.sh
# once; again where this script, the wrapper or what cargo takes has changed
[[ ! $environment -nt $0 || ! $environment -nt scripts/nvcc-lean || ! $environment -nt Cargo.lock ]] || { echo "$environment"; exit; }
exec 3>&1 1>&2

# All of 13.0: a driver of the 580 series does not read the PTX of later compilers.
wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85)
mkdir -p "$prefix"
python3 -m venv "$prefix/venv"
"$prefix/venv/bin/pip" install --quiet --no-deps --no-compile --upgrade --target "$prefix/wheels" "${wheels[@]}"
rm -r "$prefix/venv"
home=$prefix/wheels/nvidia/cu13
chmod +x "$home"/bin/* "$home"/nvvm/bin/*
cp scripts/nvcc-lean "$home/bin/"
ln -sf libcudart.so.13 "$home/lib/libcudart.so"

# The driver and the libraries are those of the machine where the program runs. To link, it takes their names alone: those
# of the functions that cudarc declares.
cudarc=$(cargo metadata --format-version 1 --all-features | python3 -c '
import json, pathlib, sys
[package] = [p for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"]
print(pathlib.Path(package["manifest_path"]).parent / "src")')
stubs=$home/lib/stubs
mkdir -p "$stubs"
stub() { # MODULE LIBRARY PREFIX-OF-ITS-FUNCTIONS
  local library=$stubs/${2%.so.*}.so
  grep -ohE "pub (unsafe )?fn $3[A-Za-z0-9_]+" "$cudarc/$1/sys/mod.rs" | awk '{ print "void " $NF "(void) {}" }' | sort -u >"$library.c"
  cc -shared -fPIC -nostdlib -w -Wl,-soname,"$2" -o "$library" "$library.c"
  rm "$library.c"
}
stub driver libcuda.so.1 cu
stub cublas libcublas.so.13 cublas
stub cublaslt libcublasLt.so.13 cublasLt
stub curand libcurand.so.10 curand
stub nvrtc libnvrtc.so.13 nvrtc
stub cudnn libcudnn.so.9 cudnn

# The stubs are to link with, never to run with: they are on no path of the loader.
cat >"$environment.part" <<END
export CUDA_HOME="$home" NVCC="$home/bin/nvcc-lean" NVCC_REAL="$home/bin/nvcc" CUDARC_CUDA_VERSION=13000
# of the GPU that it is for: 90 is an H100 or H200
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-90} CUDAFORGE_THREADS=\${CUDAFORGE_THREADS:-\$(nproc)}
export LIBRARY_PATH="$home/lib:$home/lib/stubs"\${LIBRARY_PATH:+:\$LIBRARY_PATH}
END
mv "$environment.part" "$environment"
echo "$environment" >&3
