#!/usr/bin/env bash
# On a machine with an NVIDIA GPU, in the unpacked archive of `make gpu-bundle`: gpu-check.sh [tests|stages|bench|table1|all] [flags]
#
# tests   the operators, on the CPU and on the GPU (VERBOSE=1: how near each is)
# stages  whole stages on the CPU and on the GPU, in f32; flags are networks
# bench   against PyTorch; flags are those of benches/gpu.py: --networks, --sizes, --parts, --precisions, --compile
# table1  `make table1` in miniature, on the built-in dataset; flags are words for make
# all     these four (the default), while the cache of torch.compile is filled beside the tests
#
# Needs a driver, python3 with PyTorch, numpy, safetensors and pyarrow, and the libraries of CUDA 13: those of the system or
# those that came with PyTorch. Results are added to $OUT/results.jsonl and told in $OUT/report.md; OUT is here by default.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here}
what=${1:-all}
shift || true

stop() { echo "gpu-check: $1" >&2; exit 1; }
case $what in tests | stages | bench | table1 | all) ;; *) stop "tests, stages, bench, table1 or all, found $what" ;; esac
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
[[ -n $gpu ]] || stop "there is no NVIDIA GPU here, or no driver (nvidia-smi finds none)"
command -v python3 >/dev/null || stop "there is no python3"

# the libraries inside a PyTorch installation, where there is one
wheels=$(python3 -c '
import glob, site, sysconfig
folders = dict.fromkeys([sysconfig.get_paths()["purelib"], *site.getsitepackages()])
print(":".join(path for folder in folders for path in sorted(glob.glob(folder + "/nvidia/*/lib"))))')
export LD_LIBRARY_PATH=$wheels${wheels:+${LD_LIBRARY_PATH:+:}}${LD_LIBRARY_PATH:-}
mkdir -p "$out"
out=$(cd "$out" && pwd)
missing=$(ldd "$here/bin/timed" | awk '/not found/ { print $1 }' | sort -u | xargs)
[[ -z $missing ]] || stop "libraries that are not found: $missing"

# packages that are usually not there; a cache that a second run of this finds
export PYTHONPATH=$here/python PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR=$here/cache
failed=0
note() { echo "== $* ($SECONDS s)"; }

tests() {
  for test in "$here"/tests/*; do
    note "$(basename "$test")"
    # the fixtures are found from here
    CARGO_MANIFEST_DIR=$here/crates/ops "$test" --test-threads 4 ${VERBOSE:+--nocapture} 2>&1 |
      grep -vE '^(test .* ok|running .*|)$'
    [[ ${PIPESTATUS[0]} == 0 ]] || { failed=1; echo "FAILED: $(basename "$test")"; }
  done
}
stages() {
  note stages
  python3 "$here/stages.py" "$here/bin" "$@" || failed=1
}
bench() {
  note bench
  python3 "$here/benches/gpu.py" "$here/bin" "$out/results.jsonl" "$@" || failed=1
}
table1() {
  note table1
  command -v make >/dev/null || { failed=1; echo 'FAILED: there is no make here, which table1 needs'; return; }
  # the capability that the programs were built for
  for built in "$here"/target/cuda/for-*; do export CUDA_COMPUTE_CAP=${built##*for-}; done
  ROOT='' RUNS=$out/runs RESULTS=$out/table1 NETWORKS=${NETWORKS:-resnet18} SEEDS=${SEEDS:-0 1} \
    WORDS="RUN=shapes DEVICE=cuda T=2 EPOCHS=2 BATCH_SIZE=100 $*" make -C "$here" --no-print-directory DEVICE=cuda table1 || failed=1
}

case $what in
  all)
    python3 "$here/benches/gpu.py" "$here/bin" "$out/results.jsonl" "$@" --warm >"$here/warm.log" 2>&1 &
    tests
    stages
    table1
    wait
    bench "$@"
    ;;
  *) "$what" "$@" ;;
esac

note "$gpu: $what, $( ((failed)) && echo FAILED || echo passed)"
[[ ! -s $out/results.jsonl ]] || python3 "$here/benches/gpu_table.py" "$out/results.jsonl" "$out/report.md"
exit $failed
