# CUB-200-2011 (section IV-B: reweighted after every four epochs. The paper trains icCNN
# with its own recipe, which it does not repeat; the rest is taken from section IV-A).

# Rounds of reweighting. More rounds extend a run; they invalidate nothing.
T := 15

SEED      := 0
DATA_SEED := 0
DATASET   := cub
ROOT      := data/cub
SIZE      := 224
PREPARE   := 

ARCH          := resnet50
INIT          :=
EPOCHS        := 4
BATCH_SIZE    := 8
OPTIMIZER     := adam
LEARNING_RATE := 0.0001
DECAY_EVERY   := 30
DECAY_FACTOR  := 0.1
WEIGHT_DECAY  := 0
NORMALIZE     := mean
AUGMENT       := --flip

EXPLAINER    := grad-cam
TAP          :=
TARGET       := predicted
SMOOTH       :=
ATTACK       :=
# The paper's 0.1, and its norm over pixels, leave no weight but 1 on VOC at this size: see ARCHITECTURE.md, Decisions.
EPSILON      := 0.001
EPSILON_UNIT := normalized

PSI       := tanh
REDUCTION := grid
METHOD    := consistency
FLOOR     := 0

EXPLAINERS := grad-cam
EVALUATE   :=
