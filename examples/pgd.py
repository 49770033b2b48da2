"""A stage of one's own: projected gradient descent (Madry et al. 2018) in place of FGSM.

    make attack='python3 examples/pgd.py' ATTACK='--radius 0.03 --steps 10'

Any program that takes `attack`'s flags and writes `perturbations.safetensors` will do. This
one writes a dense `delta` f16 [N, 3, H, W] in [-1, 1], in units of epsilon, instead of the
sign bits. Needs torch, torchvision, safetensors.
"""

import argparse
import json
import os

import torch
from safetensors.torch import save_file

from performer import pack, performer


def pgd(network, x, y, radius, steps):
    """The direction, in units of the radius, that projected gradient ascent on the loss ends in."""
    delta = torch.zeros_like(x)
    step = 2.5 * radius / steps
    for _ in range(steps):
        delta.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(network((x + delta).clamp(0, 1)), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() + step * gradient.sign()).clamp(-radius, radius)
    return delta / radius


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", required=True)
    flags.add_argument("--model", required=True)
    flags.add_argument("--output", required=True)
    flags.add_argument("--radius", type=float, default=0.03, help="largest change of a pixel in [0, 1]")
    flags.add_argument("--steps", type=int, default=10)
    flags.add_argument("--batch-size", type=int, default=64)
    flags.add_argument("--device", default="cpu")
    flags.add_argument("--precision", help="of a GPU, as the stages take it; not used here")
    flags.add_argument("--progress")
    flags = flags.parse_args()

    network, about = performer(flags.model)
    network.to(flags.device)
    images, labels = pack(flags.data)
    deltas = []
    for x, y in zip(images.split(flags.batch_size), labels.split(flags.batch_size)):
        x, y = x.to(flags.device).float() / 255, y.to(flags.device)
        deltas.append(pgd(network, x, y, flags.radius, flags.steps).half().cpu())

    # Written beside and renamed: a file that exists is whole.
    part = f"{flags.output}.{os.getpid()}.part"
    save_file(
        {"delta": torch.cat(deltas).contiguous()},
        part,
        metadata={"perturbations": json.dumps({"image_size": about["image_size"]})},
    )
    os.replace(part, flags.output)


if __name__ == "__main__":
    main()
