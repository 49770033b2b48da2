"""Writes crates/explain/tests/fixtures/explainers.safetensors: every method through a whole network.

Needs torch, torchvision, grad-cam, captum and safetensors (torch 2.15, grad-cam 1.5.7 and captum 0.9.0 were used; what is
used of grad-cam is the same in 1.5.5). Run it in the root of the workspace.

ResNet-20 with the parameters of `models.py`'s formula, at its last tap and at an earlier one, where channels have
gradients that differ from place to place. Maps are stored at native resolution, ReLU and min-max applied, as both sides
have them before they are resized. An eigenvector's sign means nothing: it is turned so that |min| <= |max|, as ours.
"""

from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, Saliency
from pytorch_grad_cam import (
    AblationCAM,
    EigenCAM,
    EigenGradCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
    XGradCAM,
)
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import save_file

from models import MEAN, STD, fill, pixels
from networks import Normalized, build

OUTPUT = Path(__file__).parents[2] / "crates/explain/tests/fixtures/explainers.safetensors"
CLASSES, TARGETS = 10, [1, 7]
TAPS = {"layer3": lambda net: net.layer3, "layer2": lambda net: net.layer2}
METHODS = {
    "grad-cam": GradCAM,
    "xgrad-cam": XGradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "layer-cam": LayerCAM,
    "hires-cam": HiResCAM,
    "eigen-cam": EigenCAM,
    "eigen-grad-cam": EigenGradCAM,
    "ablation-cam": AblationCAM,
    "score-cam": ScoreCAM,
}
PROJECTED = ["eigen-cam", "eigen-grad-cam"]


def native(method, model, layer, x, eigen, chosen=TARGETS):
    """The library's own map before it is resized, ReLU and min-max applied."""
    with METHODS[method](model, [layer]) as cam:
        targets = [ClassifierOutputTarget(target) for target in chosen]
        cam.forward(x, targets)
        found = cam.activations_and_grads
        activation = found.activations[0].numpy()
        gradient = found.gradients[0].numpy() if found.gradients else None
        raw = cam.get_cam_image(x, layer, targets, activation, gradient, eigen)
    if eigen or method in PROJECTED:
        for image in raw:
            if -image.min() > image.max():
                image *= -1
    return scale_cam_image(np.maximum(raw, 0))


def augmented(method, model, layer, x):
    """The mean over the copies that `aug_smooth` makes, of native maps."""
    maps = []
    for mirrored in [False, True]:
        for factor in [0.9, 1, 1.1]:
            copy = factor * (x.flip(3) if mirrored else x)
            found = native(method, model, layer, copy, False)
            maps.append(found[:, :, ::-1] if mirrored else found)
    return scale_cam_image(np.mean(maps, axis=0))


def main():
    net = build("resnet20", CLASSES)
    fill(net)
    model = Normalized(net, MEAN, STD).eval()
    x = pixels(2, 32, 32)
    tensors = {"logits": model(x).detach()}
    for tap, of in TAPS.items():
        for method in METHODS:
            tensors[f"{tap}.{method}"] = native(method, model, of(net), x, False)
        for method in ["grad-cam", "layer-cam"]:
            tensors[f"{tap}.{method}.eigen"] = native(method, model, of(net), x, True)
        tensors[f"{tap}.grad-cam.aug"] = augmented("grad-cam", model, of(net), x)
    integrated = IntegratedGradients(model).attribute(
        x, baselines=torch.zeros_like(x), target=TARGETS, n_steps=50, method="gausslegendre"
    )
    tensors["integrated-gradients"] = integrated.detach().float()
    tensors["gradient"] = Saliency(model).attribute(x.clone().requires_grad_(), target=TARGETS, abs=False)
    tensors = {name: torch.as_tensor(np.ascontiguousarray(value)) for name, value in tensors.items()}
    save_file(tensors, OUTPUT)


if __name__ == "__main__":
    main()
