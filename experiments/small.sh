# A quarter of an hour to three hours a target on 2 cores.
networks='resnet18 mobilenet_v2'
robust='resnet18 mobilenet_v2'
words=(SIZE=64 T=3 EPOCHS=4 BATCH_SIZE=32 LEARNING_RATE=0.001 DECAY_EVERY=8 EPSILON=0.003 REDUCTION=sum)
