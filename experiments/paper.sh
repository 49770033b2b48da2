# As in section IV-A; for a GPU.
networks='resnet50 mobilenet_v2'
robust='resnet50 vgg16'
words=(SIZE=224 T=15 EPOCHS=4 BATCH_SIZE=8 LEARNING_RATE=0.0001 DECAY_EVERY=30 DEVICE=cuda)
