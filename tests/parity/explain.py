"""Writes crates/explain/tests/fixtures/cam.safetensors: maps as pytorch-grad-cam has them.

Needs torch, grad-cam and safetensors (torch 2.15 and grad-cam 1.5.7 were used; what is
used of it is the same in 1.5.5). Run it in the root of the workspace.

The classifier is linear without pooling, so that a channel's gradient differs from place
to place and Grad-CAM from XGrad-CAM. The last image is explained for a class that every
activation speaks against: its map is flat.
"""

import numpy as np
import torch
from pytorch_grad_cam import GradCAM, XGradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import save_file

BATCH, CHANNELS, CLASSES, HEIGHT, WIDTH = 3, 6, 4, 9, 14
TARGETS = [0, 2, 3]

torch.manual_seed(0)
tap = torch.nn.ReLU()
network = torch.nn.Sequential(
    torch.nn.Conv2d(3, CHANNELS, 3, stride=2),
    tap,
    torch.nn.Flatten(),
    torch.nn.Linear(CHANNELS * 4 * 6, CLASSES),
)
with torch.no_grad():
    network[3].weight[TARGETS[2]] = -network[3].weight[TARGETS[2]].abs()
x = torch.rand(BATCH, 3, HEIGHT, WIDTH)

tensors = {}
for name, method in [("grad-cam", GradCAM), ("xgrad-cam", XGradCAM)]:
    with method(network, [tap]) as cam:
        full = cam(x, [ClassifierOutputTarget(target) for target in TARGETS])
        activation = cam.activations_and_grads.activations[0]
        gradient = cam.activations_and_grads.gradients[0]
        raw = cam.get_cam_image(x, tap, None, activation.numpy(), gradient.numpy())
        tensors[f"{name}.full"] = torch.from_numpy(full)
        tensors[f"{name}.native"] = torch.from_numpy(scale_cam_image(np.maximum(raw, 0)))
        tensors["activation"] = activation.contiguous()
        tensors["gradient"] = gradient.contiguous()

difference = tensors["grad-cam.native"] - tensors["xgrad-cam.native"]
assert difference.abs().max() > 0.01
assert tensors["grad-cam.native"][2].abs().max() == 0
save_file(tensors, "crates/explain/tests/fixtures/cam.safetensors")
