# As in section IV-A; for a GPU. But ε and the norm of Eq. (3) are others: over the pixels of 224×224 MobileNetV2's D are all 1, even
# with a thousandth of the paper's ε (ARCHITECTURE.md, Decisions).
networks='resnet50 mobilenet_v2'
robust='resnet50 vgg16'
words=(SIZE=224 T=15 EPOCHS=4 BATCH_SIZE=8 LEARNING_RATE=0.0001 DECAY_EVERY=30 EPSILON=0.001 REDUCTION=grid DEVICE=cuda)
