# The built-in dataset: ten classes of textured objects whose background gives the class
# away in training (with probability 0.8) and says nothing in the test split.

# Rounds of reweighting. More rounds extend a run; they invalidate nothing.
T := 3

SEED      := 0
DATA_SEED := 0
DATASET   := shapes
ROOT      :=
SIZE      := 64
PREPARE   := --count 2000 --test-count 1000

ARCH          := resnet20
INIT          :=
EPOCHS        := 2
BATCH_SIZE    := 50
OPTIMIZER     := adam
LEARNING_RATE := 0.001
DECAY_EVERY   := 4
DECAY_FACTOR  := 0.1
WEIGHT_DECAY  := 0
NORMALIZE     := mean
AUGMENT       :=

EXPLAINER    := grad-cam
TAP          :=
TARGET       := predicted
SMOOTH       :=
ATTACK       :=
# The paper's 0.1 flips nearly every prediction on VOC: see ARCHITECTURE.md, Decisions.
EPSILON      := 0.01
EPSILON_UNIT := normalized

PSI       := tanh
REDUCTION := sum
METHOD    := consistency
FLOOR     := 0.5

EXPLAINERS := grad-cam
EVALUATE   :=
