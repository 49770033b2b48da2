"""A run's last model in torchvision: logits, signs of the attack and Grad-CAM maps side by side.

    python tests/parity/live.py runs/shapes        (needs torch, torchvision, safetensors, grad-cam)
"""

import sys
from pathlib import Path

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from performer import pack, performer  # noqa: E402

TAPS = {
    "resnet20": lambda n: n.layer3,
    "resnet18": lambda n: n.layer4,
    "resnet34": lambda n: n.layer4,
    "resnet50": lambda n: n.layer4,
    "mobilenet_v2": lambda n: n.features[18],
    "vgg16": lambda n: n.features[29],
    "vgg16_bn": lambda n: n.features[42],
}
COUNT = 64


def main(run):
    last = max((d for d in run.iterdir() if d.name.isdigit()), key=lambda d: int(d.name))
    network, about = performer(last / "model.safetensors")
    images, labels = pack(run / "packs" / "train.safetensors")
    x = (images[:COUNT].float() / 255).requires_grad_(True)

    with safe_open(last / "maps.safetensors", "np") as f:
        logits, predicted, maps = (f.get_tensor(name)[:COUNT] for name in ("logits", "predicted", "maps"))
    with safe_open(last / "perturbations.safetensors", "np") as f:
        signs = np.unpackbits(f.get_tensor("signs")[:COUNT], axis=1, bitorder="little")

    theirs = network(x)
    # A positive multiple of the cross-entropy's gradient which does not underflow where the network is certain.
    label = torch.nn.functional.one_hot(labels[:COUNT], theirs.shape[1]).bool()
    margin = theirs.masked_fill(label, -torch.inf).logsumexp(1) - theirs[label]
    (gradient,) = torch.autograd.grad(margin.sum(), x)
    difference = np.abs(theirs.detach().numpy() - logits).max()

    flat = gradient.flatten(1).numpy()
    clear = np.abs(flat) > 1e-4 * np.abs(flat).max(1, keepdims=True)
    signs = signs[:, : flat.shape[1]].astype(bool)
    wrong = ((flat >= 0) != signs)[clear].mean()

    # The library's own map, before it is resized to the image.
    cam = GradCAM(model=network, target_layers=[TAPS[about["arch"]](network.network)])
    targets = [ClassifierOutputTarget(int(c)) for c in predicted]
    cam.forward(x.detach(), targets)
    activations = cam.activations_and_grads.activations[0].detach().numpy()
    gradients = cam.activations_and_grads.gradients[0].detach().numpy()
    raw = np.maximum((gradients.mean((2, 3), keepdims=True) * activations).sum(1), 0)
    raw -= raw.min((1, 2), keepdims=True)
    raw /= 1e-7 + raw.max((1, 2), keepdims=True)
    print(
        f"{about['arch']}: strict load ok; {len(x)} images; largest difference of logits {difference:.1e}, "
        f"of maps {np.abs(raw - maps).max():.1e}; {clear.mean():.1%} of gradients are clear, wrong signs among them {wrong:.1e}"
    )
    # Logits of a few steps' batch norm may reach thousands, where f32 itself is coarser than 1e-4.
    assert difference < 1e-4 + 1e-6 * np.abs(logits).max() and wrong < 1e-3 and np.abs(raw - maps).max() < 1e-3


if __name__ == "__main__":
    main(Path(sys.argv[1]))
