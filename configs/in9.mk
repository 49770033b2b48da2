# ImageNet-9, trained on the original images and tested on random backgrounds (section IV-B:
# reweighted after every four epochs; the rest is taken from section IV-A).

# Rounds of reweighting. More rounds extend a run; they invalidate nothing.
T := 15

SEED      := 0
DATA_SEED := 0
DATASET   := backgrounds
ROOT      := data/in9
SIZE      := 224
PREPARE   := --variant mixed_rand

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
