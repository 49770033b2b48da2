# Sourced by the scripts beside it: a scratch folder with the Makefile and stand-ins for the stages, and how claims are told.
# shellcheck shell=bash
root=$(cd "$(dirname "$0")/../.." && pwd)
box=$(mktemp -d); trap 'rm -rf "$box"' EXIT; cd "$box" || exit
cp -r "$root"/{Makefile,configs,scripts,experiments} .
mkdir -p target/release benches; touch Cargo.lock rust-toolchain.toml
for s in prepare train explain attack score audit select reweight evaluate report tabulate pgd; do cp "$root/tests/makefile/stage" target/release/$s; done
touch -d '1 hour ago' Cargo.lock rust-toolchain.toml; touch -d '50 minutes ago' target/release/*
unset MAKEFLAGS MAKELEVEL MFLAGS PRESET NETWORKS SEEDS WORDS SPLIT ROOT BACKGROUNDS RUNS RESULTS PROGRESS

# Runs make: rc is how it ended, n the number of stages that ran, out.txt what it said.
run() { sleep 0.02; : >ran.log; make --no-print-directory "$@" >out.txt 2>&1; rc=$?; n=$(wc -l <ran.log); }
# How often each stage ran.
ran() { cut -d' ' -f1 ran.log | sort | uniq -c | awk '{printf "%s%s=%s", sep, $2, $1; sep=" "}'; }
failed=0 passed=0
# is CLAIM FOUND EXPECTED
is() { if [[ "$2" == "$3" ]]; then echo "ok    $1"; passed=$((passed+1)); else echo "FAIL  $1: want [$3] got [$2]"; failed=$((failed+1)); tail -5 out.txt; fi; }
finish() { echo "$passed passed, $failed failed"; exit $((failed > 0)); }
