# STL-10 (section IV-A: Adam, batches of 100, learning rate 1e-4, divided by 10 every 30
# epochs; four epochs a round as in section IV-B).

# Rounds of reweighting. More rounds extend a run; they invalidate nothing.
T := 15

SEED      := 0
DATA_SEED := 0
DATASET   := stl10
ROOT      := data/stl10
SIZE      := 96
PREPARE   := 

ARCH          := resnet50
INIT          :=
EPOCHS        := 4
BATCH_SIZE    := 100
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
# The paper's 0.1 flips nearly every prediction on VOC: see ARCHITECTURE.md, Decisions.
EPSILON      := 0.003
EPSILON_UNIT := normalized

PSI       := tanh
REDUCTION := sum
METHOD    := consistency
FLOOR     := 0

EXPLAINERS := grad-cam
EVALUATE   :=
