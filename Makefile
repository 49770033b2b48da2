# The pipeline, as make sees it; Algorithm 1 of the paper, one line a stage.
#
#     weights₁ = uniform
#     for t in 1..T:
#         modelₜ          = train(pack, weightsₜ, modelₜ₋₁)             Eq. (5)
#         mapsₜ           = explain(pack, modelₜ)                       g(f(x))
#         perturbationsₜ  = attack(pack, modelₜ)                        Eq. (7)
#         perturbed-mapsₜ = explain(pack, modelₜ, mapsₜ, perturbationsₜ)  g(f(x̂)), Eq. (1)
#         scoresₜ         = score(mapsₜ, perturbed-mapsₜ)               Eq. (2), (3)
#         weightsₜ₊₁      = reweight(scoresₜ, weightsₜ)                 Eq. (4)
#         evaluationₜ     = evaluate(test, modelₜ)
#     baseline: the same rounds of training with uniform weights
#     report(run, baseline)
#
# With FUSED=1 one program makes scoresₜ = audit(pack, modelₜ), the four steps before
# reweight at once and without the files between them: the same rows, on the CPU bit for bit.
#
# An artefact is stale when an input, its program or its flags changed; nothing
# else makes it stale. (A dataset's own files are not looked at: delete the packs
# when they change.) Every recipe is one command, so `make -n` prints a script
# that can be run by hand. Stages write atomically: a file that exists is whole.

ifeq ($(filter 4.3 4.4 4.4.1 5.%,$(MAKE_VERSION)),)
$(error this Makefile needs GNU make 4.3 or newer; this is $(MAKE_VERSION))
endif

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-builtin-variables --warn-undefined-variables
.DEFAULT_GOAL := report
.DELETE_ON_ERROR:

# What an experiment takes from the environment, before a run's own values take its place.
environment := $(foreach v,ROOT SPLIT PROGRESS,$(if $(filter environment,$(origin $(v))),$(v)='$(subst ','\'',$(value $(v)))'))

# ---- what to run ------------------------------------------------------------

# The run, with its parameters in configs/$(RUN).mk and its artefacts in $(OUT).
RUN := shapes
OUT := runs/$(RUN)
ifeq ($(wildcard configs/$(RUN).mk),)
$(error no configs/$(RUN).mk; there are: $(patsubst configs/%.mk,%,$(wildcard configs/*.mk)))
endif
# 1: audit in place of explain, attack, explain and score. What is scored does not depend on it.
FUSED :=
# More flags of reweight, train and audit, of rivals and ablations: REWEIGHT='--fraction 0.3',
# LOSS='--loss focal', DISTURB='--masking zero' (which needs FUSED=1).
REWEIGHT :=
LOSS     :=
DISTURB  :=
# A run whose packs, first round and baseline are this run's too: it is made before.
FROM :=
include configs/$(RUN).mk

# Where to run, and how to tell how far it is. Neither is part of a result's identity; but the
# programs for a GPU are others, built with CUDA (scripts/cuda-toolchain.sh where there is none).
DEVICE   := cpu
PROGRESS := auto
# In what a GPU computes; it does bear on what is computed.
PRECISION := tf32

ifeq ($(filter cpu cuda,$(DEVICE)),)
$(error DEVICE=$(DEVICE): cpu or cuda)
endif
ifeq ($(filter f32 tf32 bf16,$(PRECISION)),)
$(error PRECISION=$(PRECISION): f32, tf32 or bf16)
endif
gpu         := $(filter cuda,$(DEVICE))
precision   := $(if $(gpu),--precision $(PRECISION))
BIN         := $(if $(gpu),target/cuda/release,target/release)
CARGO_BUILD := cargo build --release $(if $(gpu),--features ops/cuda --target-dir target/cuda)
# The compute capability of the GPU that programs are built for: 90 is that of an H100 or H200.
CUDA_COMPUTE_CAP ?= 90
capability  :=
ifneq ($(gpu),)
export CUDA_COMPUTE_CAP
capability  := target/cuda/for-$(CUDA_COMPUTE_CAP)
$(capability):
	@mkdir -p $(@D) && rm -f $(@D)/for-* && touch $@
endif
has_nvcc    := command -v "$${NVCC:-$${CUDA_HOME:+$$CUDA_HOME/bin/}nvcc}" >/dev/null || \
  { echo 'error: DEVICE=cuda needs nvcc, the compiler of CUDA: put it on the PATH, set NVCC or CUDA_HOME, or get it by . "$$(scripts/cuda-toolchain.sh)"' >&2; exit 1; }
ifeq ($(filter <$(FUSED)>,<> <0> <1>),)
$(error FUSED=$(FUSED): 1, or 0 or nothing for a stage at a time)
endif
ifneq ($(shell test "$(T)" -ge 1 2>/dev/null && echo yes),yes)
$(error T=$(T): the number of rounds, 1 or more)
endif

# One accelerator: one stage at a time, even under -j.
ifneq ($(gpu),)
.NOTPARALLEL:
endif

# The packs, shared by runs that are told so: PACKS=runs/voc/packs. SPLIT is the
# one that is evaluated: choose parameters on validation, report test once.
PACKS := $(or $(FROM),$(OUT))/packs
SPLIT := test
$(foreach v,OUT FROM PACKS INIT,$(if $(word 2,$($(v))),$(error $(v)=$($(v)): make knows no names with spaces; in ROOT single ones are fine)))
TRAIN := $(PACKS)/train.safetensors
TEST  := $(PACKS)/$(SPLIT).safetensors

# ---- stages -----------------------------------------------------------------

# A stage is a program (swap it: make attack='python3 examples/pgd.py') and its flags.
PROGRAMS := prepare train explain attack score audit select reweight evaluate report tabulate
$(foreach p,$(PROGRAMS),$(eval $(p) := $(BIN)/$(p)))

# Two programs are used in two ways, each with flags of its own, and scores are made in two.
# Rivals that weigh by the prediction alone need no perturbed maps.
rival     := $(filter hard-negative focal equalized-focal,$(METHOD))
fused     := $(and $(filter 1,$(FUSED)),$(if $(rival),,1))
perturbed := $(explain)
uniform   := $(reweight)
scored    := $(if $(fused),$(audit),$(score))
STAGES    := $(filter-out score audit select tabulate,$(PROGRAMS)) perturbed uniform scored

swapped := $(strip $(foreach p,explain attack score,$(if $(filter-out $(BIN)/$(p),$($(p))),$(p))) $(if $(ATTACK),ATTACK))
ifneq ($(and $(fused),$(swapped)),)
$(error FUSED=1 runs audit alone: it has no use for $(swapped) of your own)
endif

ifneq ($(and $(DISTURB),$(if $(filter 1,$(FUSED)),,staged)),)
$(error DISTURB=$(DISTURB) is for audit: give FUSED=1 too)
endif

# The shell knows no ~ in quotes.
root            := $(patsubst ~/%,$(HOME)/%,$(strip $(ROOT)))
explaining      := --explainer $(EXPLAINER) $(addprefix --tap ,$(TAP)) --target $(TARGET) $(addprefix --smooth ,$(SMOOTH)) $(precision)
prepare.flags   := --dataset $(DATASET) $(if $(root),--root "$(root)") --size $(SIZE) $(PREPARE) --seed $(DATA_SEED)
train.flags     := --arch $(ARCH) --epochs $(EPOCHS) --batch-size $(BATCH_SIZE) --optimizer $(OPTIMIZER) \
                   --learning-rate $(LEARNING_RATE) --decay-every $(DECAY_EVERY) --decay-factor $(DECAY_FACTOR) \
                   --weight-decay $(WEIGHT_DECAY) --normalize $(NORMALIZE) $(LOSS) $(AUGMENT) --seed $(SEED) $(precision)
explain.flags   := $(explaining)
attack.flags    := $(ATTACK) $(precision)
pushing         := --epsilon $(EPSILON) --epsilon-unit $(EPSILON_UNIT)
perturbed.flags := $(explaining) $(pushing)
score.flags     := --psi $(PSI) --reduction $(REDUCTION)
audit.flags     := $(explaining) $(if $(findstring --masking,$(DISTURB)),,$(pushing)) $(DISTURB) $(score.flags)
scored.flags    := $(if $(fused),$(audit.flags),$(score.flags))
uniform.flags   := --method uniform
reweight.flags  := --method $(METHOD) --floor $(FLOOR) $(REWEIGHT)
evaluate.flags  := --data $(TEST) $(addprefix --explainer ,$(EXPLAINERS)) $(addprefix --tap ,$(TAP)) $(EVALUATE) $(precision)
report.flags    := --rounds $(T) --test $(TEST)

# A stage's stamp records its program and flags, and is remade exactly when they
# differ from the record: a changed parameter reaches only the stages that name
# it. The comparison is made here; the writing is a recipe, so `make -n` is both
# truthful and harmless.
# The record names the packs too, since other packs may be older than what was made of them.
stamp  = $(OUT)/.stamps/$(1)
line   = $(strip $($(1)) $($(1).flags))
record = $(strip $(line) $(if $(filter prepare,$(1)),,on $(TRAIN)) $(if $(filter train,$(1)),$(INIT)))
# (GNU make 4.3 leaves the last newline of a file on in some of them: stripped.)
same  = $(if $(subst <$(1)>,,<$(2)>),,same)

define remember
$(stamp): $(if $(call same,$(strip $(file <$(stamp))),$(record)),,FORCE)
	@mkdir -p $$(@D) && echo '$(record)' >$$@
endef
$(foreach s,$(STAGES),$(eval $(call remember,$(s))))

# For prerequisites, what makes an artefact of this stage: its stamp and those words
# of its command that are files. For recipes, its run.
by  = $(stamp) $(filter $(BIN)/%,$($(1))) $(wildcard $(filter-out $(BIN)/%,$($(1))))
run = $(line) --device $(DEVICE) --progress $(PROGRESS)

# A copy of an artefact, and of the files `also` beside it, each of them whole.
also :=
copy = mkdir -p $(@D); for file in $(also) $(@F); do cp $(<D)/$$file $(@D)/$$file.part; mv $(@D)/$$file.part $(@D)/$$file; done

# ---- the packs --------------------------------------------------------------

# A stage that leaves several files writes the one make knows last. (Grouped targets
# would say more, but `make -n` does not follow what depends on them.)
ifeq ($(PACKS),$(OUT)/packs)
$(TRAIN): $(call by,prepare)
	$(call run,prepare) --output $(PACKS)

$(TEST): $(TRAIN)
	@touch -c -r $< $@; test -e $@ || { echo 'error: no $@: does PREPARE in configs/$(RUN).mk ask for it? (if it was lost, remove $<)' >&2; exit 1; }
else
$(TRAIN) $(TEST):
	@echo 'error: no $@: PACKS names the packs of another run, which makes them; make that run first' >&2; exit 1
endif

# ---- one round --------------------------------------------------------------

ifeq ($(FROM),)
$(OUT)/1/weights.parquet: $(TRAIN) $(call by,uniform)
	$(call run,uniform) --data $< --output $@
else
$(OUT)/1/model.safetensors: also := optimizer.safetensors training.parquet
# (The stamp names the packs, which are FROM's: another FROM, however old, is copied again.)
$(OUT)/1/weights.parquet $(OUT)/1/model.safetensors: $(OUT)/1/%: $(FROM)/1/% $(call stamp,train)
	$(copy)
endif

# Round $(1) learns with the weights that round $(2) earned, from where it stopped.
define earn
$(OUT)/$(1)/weights.parquet: $(OUT)/$(2)/scores.parquet $(OUT)/$(2)/weights.parquet $(call by,reweight)
	$$(call run,reweight) --scores $$< --previous $$(word 2,$$^) --output $$@
endef

# Trains in folder $(1) with the weights $(2), from the model in folder $(3) if there is one.
define learn
$(1)/model.safetensors: $(TRAIN) $(2) $(if $(3),$(3)/model.safetensors,$(INIT)) $(call by,train)
	$$(call run,train) --data $(TRAIN) --weights $(2) $(if $(3),--previous $(3),$(if $(INIT),--init $(INIT) --fresh-head)) \
	  --resume --output $(1)/model.safetensors
endef

# What is made of the model in folder $(1).
define examine
$(1)/maps.safetensors: $(TRAIN) $(1)/model.safetensors $(call by,explain)
	$$(call run,explain) --data $$< --model $$(word 2,$$^) --output $$@

$(1)/perturbations.safetensors: $(TRAIN) $(1)/model.safetensors $(call by,attack)
	$$(call run,attack) --data $$< --model $$(word 2,$$^) --output $$@

$(1)/perturbed-maps.safetensors: $(TRAIN) $(addprefix $(1)/,model.safetensors maps.safetensors perturbations.safetensors) $(call by,perturbed)
	$$(call run,perturbed) --data $$< --model $$(word 2,$$^) --maps $$(word 3,$$^) --perturbations $$(word 4,$$^) --output $$@

$(1)/scores.parquet: $(if $(fused),$(TRAIN) $(1)/model.safetensors,$(addprefix $(1)/,maps.safetensors $(if $(rival),,perturbed-maps.safetensors))) $(call by,scored)
	$$(call run,scored) $(if $(fused),--data,--clean) $$< $(if $(rival),,$(if $(fused),--model,--perturbed) $$(word 2,$$^)) --output $$@
endef

define judge
$(1)/evaluation.parquet: $(TEST) $(1)/model.safetensors $(call by,evaluate)
	$$(call run,evaluate) --model $$(word 2,$$^) $(if $(EXPLAINERS),--maps-output $(1)/test-maps.safetensors) --output $(1)/evaluation.parquet
endef

# ---- the loop, and the same number of epochs without it ----------------------

ROUNDS   := $(shell seq $(T))
LATER    := $(filter-out 1,$(ROUNDS))
previous  = $(word $(1),0 $(ROUNDS))
BASE     := $(or $(FROM),$(OUT))/baseline

$(foreach t,$(LATER),$(eval $(call earn,$(t),$(call previous,$(t)))))
$(if $(FROM),,$(eval $(call learn,$(OUT)/1,$(OUT)/1/weights.parquet,)))
$(foreach t,$(LATER),$(eval $(call learn,$(OUT)/$(t),$(OUT)/$(t)/weights.parquet,$(OUT)/$(call previous,$(t)))))
$(foreach t,$(ROUNDS),$(eval $(call examine,$(OUT)/$(t))))
$(foreach t,$(ROUNDS),$(eval $(call judge,$(OUT)/$(t))))

# The first round has uniform weights in both: the baseline starts from a copy of it.
ifeq ($(FROM),)
$(BASE)/1/model.safetensors: also := optimizer.safetensors training.parquet
$(BASE)/1/evaluation.parquet: also := $(if $(EXPLAINERS),test-maps.safetensors)
$(BASE)/1/%: $(OUT)/1/%
	$(copy)

$(foreach t,$(LATER),$(eval $(call learn,$(BASE)/$(t),$(OUT)/1/weights.parquet,$(BASE)/$(call previous,$(t)))))
$(foreach t,$(LATER),$(eval $(call judge,$(BASE)/$(t))))
else ifeq ($(wildcard $(FROM)/1/model.safetensors),)
$(error FROM=$(FROM): no run is there; make it first, with its baseline)
endif

# ---- results ----------------------------------------------------------------

bulky   := maps.safetensors perturbations.safetensors perturbed-maps.safetensors
of_round = $(addprefix $(OUT)/$(1)/,weights.parquet model.safetensors $(if $(fused),,$(if $(rival),maps.safetensors,$(bulky))) scores.parquet evaluation.parquet)
of_base  = $(addprefix $(BASE)/$(1)/,model.safetensors evaluation.parquet)
ALL     := $(foreach t,$(ROUNDS),$(call of_round,$(t))) $(foreach t,$(ROUNDS),$(call of_base,$(t)))

# Directions and maps are bulky: they may be deleted, and come back only when needed.
.SECONDARY: $(foreach t,$(ROUNDS),$(addprefix $(OUT)/$(t)/,$(bulky)))

$(OUT)/report.html: $(TRAIN) $(TEST) $(foreach t,$(ROUNDS),$(OUT)/$(t)/scores.parquet $(OUT)/$(t)/evaluation.parquet $(BASE)/$(t)/evaluation.parquet) $(call by,report)
	$(call run,report) --run $(OUT) --baseline $(BASE) --data $(TRAIN) --output $@

# ---- programs ---------------------------------------------------------------

# Cargo lists each program's sources beside it, so make knows when one is old.
# To keep artefacts through a change that does not matter: make -o $(BIN)/train
-include $(wildcard $(BIN)/*.d)

# (An empty rule, so that a source which was moved away is a reason to rebuild, not an error.)
$(BIN)/%.d: ;
$(BIN)/build/%: ;
crates/%.rs: ;
crates/%.cu: ;
crates/%.cuh: ;
pipelines/%.rs: ;
pipelines/%.html: ;
$(BIN)/%: $(capability) Cargo.lock rust-toolchain.toml $(wildcard Cargo.toml .cargo/config.toml crates/*/Cargo.toml pipelines/*/Cargo.toml)
	$(if $(gpu),@$(has_nvcc))
	$(CARGO_BUILD) --bin $*
	@# once only: where two runs build at once, the later leaves the earlier's artefacts fresh
	@[ -z "$$(find $^ -newer $@ 2>/dev/null)" ] || touch $@

# ---- words ------------------------------------------------------------------

# The paper's tables and figures, each an experiment of its own.
EXPERIMENTS := table1 table5 fig7 fig8 fig9ab fig9cd background cost ablations search

.PHONY: report rounds baseline plan build check check-cuda check-real test parity study bench bench-explainers bench-scaling gpu-bundle clean help FORCE $(EXPERIMENTS)

report: $(OUT)/report.html ## the run, its baseline and the report (the default)

rounds: $(ALL) ## every artefact, without the report
baseline: $(foreach t,$(ROUNDS),$(call of_base,$(t))) ## the same epochs with uniform weights
round-%: $(OUT)/%/scores.parquet $(OUT)/%/evaluation.parquet ; @: ## the artefacts of one round: round-1, round-2 …

plan: ## per artefact: fresh, or will run and why
	@LC_ALL=C $(MAKE) -n --trace --no-print-directory report 2>&1 | \
	  awk -v out='$(OUT)/' -v bin='$(BIN)/' -v all='$(TRAIN) $(TEST) $(ALL) $(OUT)/report.html' -f scripts/plan.awk

build: $(PROGRAMS:%=$(BIN)/%) ## the programs only; DEVICE=cuda: those for a GPU, into target/cuda

check: ## format, lints, documentation and tests
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --workspace --no-deps --lib --quiet
	$(MAKE) --no-print-directory test

test: ## every test that needs nothing beside this folder
	cargo test --release --workspace
	@# the register kernel of machines without AVX-512, on those with
	cargo test --release --package ops --features avx2

check-cuda: ## types and lints of the feature cuda, without CUDA
	NVCC=$(CURDIR)/scripts/nvcc-lean CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=90 \
	  cargo clippy --release --package ops --all-targets --features cuda --target-dir target/check-cuda -- -D warnings

check-real: ## tests on real packs: make check-real DATA=folder of *.tar.zst or unpacked packs
	scripts/check-real $(DATA)

parity: ## re-make the fixtures and compare live with PyTorch (installs it into .venv)
	scripts/parity

study: ## does reweighting help: variants over seeds against the baseline (hours); into benches/results
	$(environment) scripts/study benches/results/reweighting.md <benches/reweighting.variants

# Variables of an experiment are those of scripts/experiment, not words of a run.
$(EXPERIMENTS):
	$(environment) scripts/experiment $@

bench: ## race PyTorch on this CPU: steps, stages, operators, memory, tables; into benches/results
	scripts/bench cpu

bench-explainers: ## race pytorch-grad-cam and Captum, method by method; into benches/results
	scripts/bench explainers

bench-scaling: ## time a sample and memory against sizes and numbers; into benches/results
	scripts/bench scaling

gpu-bundle: ## all that is run on a machine with a GPU, in one archive; there: gpu-check.sh
	scripts/gpu-bundle

clean: ## forget this run
	rm -rf $(OUT)

help: ## this list
	@sed -nE 's/^([a-z%-]+):.*## (.*)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14
	@echo '  $(EXPERIMENTS): the experiments of the paper; what they take is in results/README.md'
	@echo 'RUN=$(RUN) T=$(T) DEVICE=$(DEVICE) SEED=$(SEED) OUT=$(OUT); parameters in configs/$(RUN).mk, each may be given here'
