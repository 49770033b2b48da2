#!/usr/bin/env bash
# Exercises the Makefile with stand-in stages in a scratch folder. Prints one line per claim.
set -uo pipefail
. "$(dirname "$0")/box.sh"
cat >configs/base.mk <<'MK'
T := 3
SEED := 0
DATA_SEED := 0
DATASET := shapes
ROOT :=
SIZE := 64
PREPARE := --count 20
ARCH := resnet20
INIT :=
EPOCHS := 2
BATCH_SIZE := 4
OPTIMIZER := adam
LEARNING_RATE := 0.001
DECAY_EVERY := 30
DECAY_FACTOR := 0.1
WEIGHT_DECAY := 0
NORMALIZE := mean
AUGMENT :=
EXPLAINER := grad-cam
TAP :=
TARGET := predicted
ATTACK :=
EPSILON := 0.05
EPSILON_UNIT := normalized
PSI := tanh
REDUCTION := grid
METHOD := consistency
FLOOR := 0
EXPLAINERS := grad-cam
MK
m() { run RUN=base "$@"; }

m;                                   is "a fresh run of T=3: packs, 3 rounds of 7, 2 more of baseline, the report" "$rc $n $(ran)" "0 27 attack=3 evaluate=5 explain=6 prepare=1 report=1 reweight=3 score=3 train=5"
                                     is "without warnings"                                 "$(grep -c warning out.txt)" 0
order=$(grep -E 'scores|weights' ran.log | awk '{print $2}' | tr '\n' ' ')
                                     is "in an order that respects the loop"               "$order" "1/weights.parquet 1/scores.parquet 2/weights.parquet 2/scores.parquet 3/weights.parquet 3/scores.parquet "
                                     is "the baseline's first round is the run's"          "$(cmp runs/base/1/model.safetensors runs/base/baseline/1/model.safetensors && echo same)" "same"
m;                                   is "again: nothing to do"                             "$rc $n" "0 0"
m EXPLAINERS='grad-cam xgrad-cam';   is "a parameter of evaluate: evaluate and report"     "$(ran)" "evaluate=5 report=1"
m EXPLAINERS='grad-cam xgrad-cam';   is "  and then nothing"                               "$n" 0
m;                                   is "  and back"                                       "$(ran)" "evaluate=5 report=1"
m -n EPSILON=0.1; plan=$(grep -c -- --output out.txt)
                                     is "make -n for a new epsilon plans 17 steps, runs none" "$plan $n" "17 0"
m;                                   is "  and leaves no trace"                            "$n" 0
m plan EPSILON=0.1;                  is "make plan says what would run and why, and runs nothing" "$n $(grep -c 'will run' out.txt) $(grep -c fresh out.txt) $(grep -c '1/perturbed-maps.*will run: the flags of perturbed changed' out.txt)" "0 17 13 1"
E1="attack=2 evaluate=2 explain=5 report=1 reweight=2 score=3 train=2"
m EPSILON=0.1;                       is "epsilon: the perturbed maps and what follows"     "$(ran)" "$E1"
                                     is "  but not model 1, its maps, attack, evaluation, nor the baseline" "$(grep -cE ' 1/(model|maps|perturbations|evaluation)|baseline' ran.log)" 0
m EPSILON=0.1 TAP=layer2;            is "tap: no model 1, no attack 1; both maps"          "$(grep -cE ' 1/(model|perturbations)' ran.log) $(grep -c ' 1/.*maps.safetensors' ran.log)" "0 2"
m;                                   is "back to the configuration"                        "$rc" 0
m EXPLAINER=xgrad-cam;               is "another explainer repeats no attack of the same model" "$(grep -cE ' 1/(model|perturbations|evaluation)' ran.log)" 0
m;                                   is "  and back"                                       "$rc" 0
m T=5;                               is "T=5 extends the run by two rounds"                "$(ran) $(grep -cE ' (baseline/)?[123]/' ran.log)" "attack=2 evaluate=4 explain=4 report=1 reweight=2 score=2 train=4 0"
m;                                   is "T=3 again: only the report"                       "$(ran)" "report=1"
m attack=target/release/pgd;         is "swap of the attack: what follows the attack"      "$(ran)" "evaluate=2 explain=5 pgd=3 report=1 reweight=2 score=3 train=2"
m;                                   is "  and back"                                       "$(ran)" "attack=3 evaluate=2 explain=5 report=1 reweight=2 score=3 train=2"
m PSI=softsign;                      is "psi: scores and what follows"                     "$(ran)" "attack=2 evaluate=2 explain=4 report=1 reweight=2 score=3 train=2"
m;                                   is "  and back"                                       "$rc" 0
m FLOOR=0.5;                         is "the floor: weights of round 2 on, no score of round 1" "$(ran)" "attack=2 evaluate=2 explain=4 report=1 reweight=2 score=2 train=2"
m;                                   is "  and back"                                       "$rc" 0
touch target/release/score
m -n -o target/release/score;        is "a rebuilt program, -o: nothing"                   "$(grep -c -- --output out.txt)" 0
m;                                   is "a rebuilt program: its artefacts and what follows" "$(ran) $(grep -cE ' 1/(model|.*maps)' ran.log)" "attack=2 evaluate=2 explain=4 report=1 reweight=2 score=3 train=2 0"
rm runs/base/1/perturbations.safetensors runs/base/3/maps.safetensors
m;                                   is "pruned directions and maps are not missed"        "$n" 0
rm runs/base/2/model.safetensors
m;                                   is "a lost model is remade, and what follows it"      "$(ran)" "attack=2 evaluate=2 explain=4 report=1 reweight=1 score=2 train=2"
old=$(<runs/base/2/perturbed-maps.safetensors)
m EPSILON=0.2 BREAK=runs/base/2/perturbed-maps.safetensors
                                     is "a stage that fails stops the run"                 "$rc $(grep -c ' 3/' ran.log)" "2 0"
first=$n;                            is "  its old output whole, nothing partial in its place" "$(<runs/base/2/perturbed-maps.safetensors)" "$old"
m EPSILON=0.2;                       is "resume: the rest, only the rest, and what was pruned (18 in all)" "$rc $((n + first)) $(head -1 ran.log)" "0 18 explain 2/perturbed-maps.safetensors"
m EPSILON=0.2;                       is "  and then nothing"                               "$n" 0
old=$(<runs/base/2/perturbed-maps.safetensors)
: >ran.log; INTERRUPT=runs/base/2/perturbed-maps.safetensors timeout 60 make RUN=base EPSILON=0.3 >out.txt 2>&1 # (timeout: a group of its own)
first=$(wc -l <ran.log);             is "interrupted part way, its old output whole"       "$first $(find runs -empty -name '*.[ps]a*' | wc -l) $(<runs/base/2/perturbed-maps.safetensors)" "6 0 $old"
m EPSILON=0.3;                       is "  resume after the interrupt (17 in all)"         "$rc $((first + n))" "0 17"
m -j4 EPSILON=0.4;                   is "-j4 on the CPU"                                   "$rc $n" "0 17"
cp configs/base.mk configs/wide.mk; sed -i 's/^T .*/T := 1/; s/^EPSILON .*/EPSILON := 0.06/' configs/wide.mk
m RUN=wide;                          is "another run has its own artefacts"                "$rc $n $(ls runs | tr '\n' ' ')" "0 9 base wide "
m EPSILON=0.4;                       is "  and does not disturb the first"                 "$n" 0
m RUN=wide OUT=runs/third PACKS=runs/wide/packs; is "packs can be shared"                  "$rc $(ran)" "0 attack=1 evaluate=1 explain=2 report=1 reweight=1 score=1 train=1"
cp -rp runs/wide/packs runs/old; touch -d '1 day ago' runs/old/*
m RUN=wide OUT=runs/third PACKS=runs/old; is "other packs, however old: all that is made of them"  "$rc $(ran)" "0 attack=1 evaluate=1 explain=2 report=1 reweight=1 score=1 train=1"
rm -r runs/old
echo x >init.safetensors; touch -d '1 day ago' init.safetensors
m RUN=wide INIT=init.safetensors;    is "other initial parameters, however old: the model and what follows" "$rc $(ran)" "0 attack=1 evaluate=1 explain=2 report=1 score=1 train=1"
m RUN=wide;                          is "  and back"                                       "$rc $(ran)" "0 attack=1 evaluate=1 explain=2 report=1 score=1 train=1"
m round-1 RUN=wide;                  is "a word for one round"                             "$rc $n" "0 0"
m RUN=wide SPLIT=validation;         is "another split: evaluation and report only"        "$(ran)" "evaluate=1 report=1"
mkdir -p crates/x; echo >crates/x/new.rs; echo 'target/release/score: crates/x/gone.rs' >target/release/score.d
m plan RUN=wide;                     is "a source that was moved away rebuilds its program" "$rc $(grep -c 'score was rebuilt' out.txt)" "0 1"
rm target/release/score.d
m help;                              is "help lists the words"                             "$(grep -cE '^  (report|rounds|baseline|round-%|plan|build|check|check-real|test|parity|study|bench|clean|help) ' out.txt)" 14
m RUN=wide;                          is "the run as it was"                                 "$rc" 0
m RUN=wide FUSED=1;                  is "FUSED=1: scores by audit, from pack and model alone" "$rc $(ran)" "0 audit=1 report=1"
m RUN=wide FUSED=1;                  is "  and then nothing"                               "$n" 0
m plan RUN=wide FUSED=1;             is "  of which plan knows no maps"                      "$rc $(grep -c fresh out.txt) $(grep -c maps out.txt)" "0 9 0"
m RUN=wide FUSED=1 PSI=softsign;     is "  a parameter of scores: audit again"             "$(ran)" "audit=1 report=1"
m RUN=wide FUSED=1 EPSILON=0.2;      is "  and so is epsilon"                              "$(ran)" "audit=1 report=1"
m RUN=wide FUSED=0;                  is "  back: the scores alone, of the maps that are there" "$rc $(ran)" "0 report=1 score=1"
m RUN=wide;                          is "  where 0 is nothing"                             "$n" 0
m OUT='runs/two words' -n;           is "a name with spaces is an error"                       "$rc $n $(grep -c 'OUT=runs/two words: make knows no names' out.txt)" "2 0 1"
m OUT=runs/spaces ROOT='my images';  is "  but for a dataset's"                            "$rc $(grep -c -- '--root "my images"' out.txt)" "0 1"
m OUT=runs/spaces ROOT='my images';  is "  which is remembered"                            "$rc $n" "0 0"
rm -r runs/spaces
m OUT=runs/spaces ROOT='~/images ' -n; is "  its ~ is the home, and its end is bare"       "$rc $(grep -c -- "--root \"$HOME/images\"" out.txt)" "0 2"
for s in experiment study; do echo 'echo "<${ROOT-none}> <${SPLIT-none}> <${PROGRESS-none}>"' >scripts/$s; chmod +x scripts/$s; done; touch benches/reweighting.variants
ROOT="it's  \$HOME" SPLIT=validation PROGRESS=plain m -s table1; is "an experiment takes some from the environment, as it is, not from a run" "$(<out.txt)" "<it's  \$HOME> <validation> <plain>"
ROOT='' m -s table1;                 is "  be it nothing"                                  "$(<out.txt)" "<> <none> <none>"
m -s table1;                         is "  and else has its own"                           "$(<out.txt)" "<none> <none> <none>"
m -s table1 ROOT='my images';        is "  or that of the command line"                    "$(<out.txt)" "<my images> <none> <none>"
SPLIT=validation m -s study;         is "so does a study"                                  "$(<out.txt)" "<none> <validation> <none>"
m OUT=runs/fused FUSED=1;            is "a fresh run with FUSED=1: no attack, explain or score" "$rc $(ran)" "0 audit=3 evaluate=5 prepare=1 report=1 reweight=3 train=5"
m OUT=runs/fused FUSED=1 EPSILON=0.2; is "  epsilon: the scores and what follows"          "$(ran)" "audit=3 evaluate=2 report=1 reweight=2 train=2"
m OUT=runs/fused FUSED=1 EPSILON=0.2 runs/fused/3/perturbed-maps.safetensors
                                     is "  maps can still be asked for by name"            "$rc $(ran)" "0 attack=1 explain=2"
rm -r runs/fused
m FUSED=yes;                         is "another value of FUSED is an error"               "$rc $(grep -c 'FUSED=yes: 1, or 0' out.txt)" "2 1"
m FUSED=1 ATTACK=--steps;            is "FUSED=1 has no use for flags of an attack"        "$rc $n $(grep -c 'no use for ATTACK' out.txt)" "2 0 1"
m FUSED=1 attack=target/release/pgd; is "  nor for another one"                            "$rc $n $(grep -c 'no use for attack' out.txt)" "2 0 1"
touch runs/wide/packs/*
m RUN=wide;                          is "new packs: everything made of them"               "$n" 8
m RUN=none;                          is "an unknown run is an error that lists the known"  "$rc $(grep -c 'there are:.*shapes' out.txt)" "2 1"
m T=0;                               is "so is T=0"                                        "$rc" 2
m DEVICE=tpu;                        is "and an unknown device"                            "$rc" 2
m PRECISION=f16;                     is "and an unknown precision"                         "$rc" 2
mkdir -p target/cuda && cp -a target/release target/cuda
export CUDA_COMPUTE_CAP=90; touch -d '1 hour ago' target/cuda/for-90
m DEVICE=cuda OUT=runs/gpu;          is "a GPU has programs of its own"                    "$rc $n $(grep -c '^target/cuda/release/' out.txt) $(grep -c '^target/release/' out.txt)" "0 27 27 0"
                                     is "  those that compute are told the precision"      "$(grep -c -- '--device cuda' out.txt) $(grep -c -- '--precision tf32' out.txt)" "27 19"
m DEVICE=cuda OUT=runs/gpu;          is "  again: nothing to do"                           "$rc $n" "0 0"
m DEVICE=cuda OUT=runs/gpu PRECISION=bf16; is "  another precision: all that is computed"  "$(ran)" "attack=3 evaluate=5 explain=6 report=1 reweight=2 score=3 train=5"
NVCC=nvcc-of-nobody m DEVICE=cuda OUT=runs/gpu CUDA_COMPUTE_CAP=80; is "  another GPU: other programs"   "$rc $(grep -c 'DEVICE=cuda needs nvcc' out.txt)" "2 1"
m DEVICE=cuda OUT=runs/gpu PRECISION=bf16 DEVICE=cpu -n; is "  the processor is told none" "$(grep -c -- '--precision' out.txt)" "0"
rm -r runs/gpu
m runs/wide/baseline/1/evaluation.parquet RUN=wide T=2 baseline; is "a baseline of two rounds"         "$rc" 0
of() { m RUN=wide T=2 FUSED=1 OUT=runs/of FROM=runs/wide "$@"; }
of rounds;                           is "FROM: another method begins with the run's first round, and learns on" "$rc $(ran)" "0 audit=2 evaluate=2 reweight=1 train=1"
                                     is "  without warnings"                               "$(grep -c warning out.txt)" 0
                                     is "  that round is a copy"                           "$(cmp runs/wide/1/model.safetensors runs/of/1/model.safetensors && ls runs/of/1 | tr '\n' ' ')" "evaluation.parquet model.safetensors optimizer.safetensors scores.parquet test-maps.safetensors training.parquet weights.parquet "
of rounds;                           is "  again: nothing to do"                           "$rc $n" "0 0"
cp -rp runs/wide runs/old; echo other >runs/old/1/model.safetensors; touch -d '1 day ago' runs/old/1/* runs/old/packs/*
m rounds RUN=wide T=2 FUSED=1 OUT=runs/of FROM=runs/old; is "  another FROM, however old: its first round, and what follows" "$rc $(ran) $(cat runs/of/1/model.safetensors)" "0 audit=2 evaluate=2 reweight=1 train=1 other"
rm -r runs/old
of rounds;                           is "  and back"                                       "$rc $(ran)" "0 audit=2 evaluate=2 reweight=1 train=1"
of rounds METHOD=hard-negative;      is "a rival: no audit, but the loss of the clean maps, and nothing perturbed" "$rc $(ran)" "0 evaluate=1 explain=2 reweight=1 score=2 train=1"
of rounds METHOD=hard-negative REWEIGHT='--fraction 0.3'; is "  a flag of reweight: the weights and what follows" "$rc $(ran)" "0 evaluate=1 explain=1 reweight=1 score=1 train=1"
of rounds;                           is "  and back to audit"                              "$rc $(ran)" "0 audit=2 evaluate=1 reweight=1 train=1"
of rounds DISTURB='--masking zero';  is "a mask for the attack: the scores and what follows" "$rc $(ran) $(grep -c -- '--masking zero' out.txt) $(grep -c -- '--epsilon' out.txt)" "0 audit=2 evaluate=1 reweight=1 train=1 2 0"
m RUN=wide DISTURB=--everywhere;     is "  which is for audit alone"                       "$rc $n $(grep -c 'give FUSED=1 too' out.txt)" "2 0 1"
m RUN=wide T=2 OUT=runs/loss PACKS=runs/wide/packs LOSS='--loss focal' baseline; is "a loss: training of its own" "$rc $(ran) $(grep -c -- '--loss focal' out.txt)" "0 evaluate=2 reweight=1 train=2 2"
m RUN=wide OUT=runs/of FROM=runs/nobody; is "FROM nowhere is an error"                     "$rc $(grep -c 'no run is there' out.txt)" "2 1"
rm -r runs/of runs/loss
m clean RUN=wide;                    is "clean forgets one run"                            "$(ls runs | tr '\n' ' ')" "base third "
finish
