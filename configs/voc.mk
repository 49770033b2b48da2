# PASCAL VOC 2012 segmentation, the six classes that the Animal-Pose subset fills well
# (section IV-A: Adam, batches of 8, learning rate 1e-4, divided by 10 every 30 epochs;
# ResNet-50 and MobileNetV2 there; ResNet-18 and 96 pixels here, so that it runs on a CPU).

# Rounds of reweighting. More rounds extend a run; they invalidate nothing.
T := 3

SEED      := 0
DATA_SEED := 0
DATASET   := voc
ROOT      := data/voc2012
SIZE      := 96
PREPARE   := --classes cat,cow,dog,horse,person,sheep --train-set trainaug --test-set val --labels largest --validation 0.1

ARCH          := resnet18
INIT          :=
EPOCHS        := 4
BATCH_SIZE    := 8
OPTIMIZER     := adam
LEARNING_RATE := 0.0001
DECAY_EVERY   := 30
DECAY_FACTOR  := 0.1
WEIGHT_DECAY  := 0
NORMALIZE     := mean
AUGMENT       := --flip --crop-padding 8

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
