"""Fixtures of `crates/models`: what torchvision's and timm's networks compute.

A checkpoint is too large to commit, so both sides fill the parameters, the running
statistics and the pixels by the same formula: element j of the tensor NAME is

    h = murmur-like mix of (j + FNV-1a(NAME) * 0x9E3779B9) in 32 bits
    v = 2 * (h >> 8) / 2^24 - 1                                in [-1, 1), exact in f32

scaled by the tensor's kind (`filled`). Only the results are stored.

    python tests/parity/models.py             writes the fixtures
    python tests/parity/models.py --check     fails if they are not what would be written
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from networks import ARCHS, Normalized, build

FIXTURES = Path(__file__).parents[2] / "crates/models/tests/fixtures"
CLASSES = 10
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TRAINED = ["resnet18", "resnet20", "mobilenet_v2"]
TIMM = ["mobilenetv2_100", "vgg16", "vgg16_bn", "resnet18"]


def uniform(name, count):
    """Element by element in [-1, 1); exact in f32."""
    key = 0x811C9DC5
    for byte in name.encode():
        key = ((key ^ byte) * 0x01000193) & 0xFFFFFFFF
    h = np.arange(count, dtype=np.uint32)
    h += np.uint32((key * 0x9E3779B9) & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def filled(name, shape, smooth=False):
    """The tensor `name` of a checkpoint.

    `smooth` keeps what enters a ReLU or ReLU6 near 3: a value that rounding moves across a
    kink changes gradients by per cents, in PyTorch's f32 too.
    """
    if name.endswith("num_batches_tracked"):
        return torch.tensor(3)
    v = uniform(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        v = np.float32(2) + v
    elif name.endswith("running_mean") or name.endswith("bias") and not smooth:
        v = np.float32(0.1) * v
    elif name.endswith("bias"):
        v = np.float32(3) + np.float32(0.1) * v
    elif len(shape) == 1 and smooth:
        v = np.float32(0.25) + np.float32(0.125) * v
    elif len(shape) == 1:
        v = np.float32(1) + np.float32(0.5) * v
    else:
        v = np.float32((6.0 / np.prod(shape[1:])) ** 0.5) * v
    return torch.from_numpy(v.reshape(shape))


def fill(net, smooth=False):
    state = net.state_dict().items()
    net.load_state_dict({name: filled(name, t.shape, smooth) for name, t in state})


def pixels(count, height, width):
    v = uniform("pixels", count * 3 * height * width)
    return torch.from_numpy((v + np.float32(1)) * np.float32(0.5)).view(count, 3, height, width)


def evaluated(net):
    net = Normalized(net, MEAN, STD).eval()
    with torch.no_grad():
        return {"even": net(pixels(2, 64, 64)).numpy(), "odd": net(pixels(1, 75, 53)).numpy()}


def sketch(name, tensor):
    """Norm and projection on a fixed direction: an error of order shows in the second."""
    flat = tensor.detach().double().flatten()
    return [flat.norm().item(), flat.dot(torch.from_numpy(uniform(name, len(flat))).double()).item()]


def trained(net):
    """Loss, gradients and running statistics of one step in training mode.

    Without dropout, which cannot agree. In double precision: the truth, not PyTorch's f32.
    """
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    fill(net, smooth=True)
    model = Normalized(net, MEAN, STD).train().double()
    # the constants are the f32 numbers that the other side has
    loss = cross_entropy(model(pixels(4, 64, 64).double()), torch.tensor([1, 4, 7, 0]))
    loss.backward()
    gradients = [sketch(n, p.grad) for n, p in sorted(net.named_parameters())]
    running = [sketch(n, b) for n, b in sorted(net.named_buffers()) if b.ndim == 1]
    return {
        "loss": np.array([loss.item()], np.float32),
        "gradients": np.array(gradients, np.float32),
        "running": np.array(running, np.float32),
    }


def keys(label, net):
    """One line a tensor: network, name, extents."""
    return [
        " ".join([label, name, *map(str, t.shape)]) + "\n" for name, t in net.state_dict().items()
    ]


def fixtures():
    tensors, lines = {}, []
    nets = [(arch, lambda arch=arch: build(arch, CLASSES)) for arch in ARCHS]
    nets += [
        (f"timm.{name}", lambda name=name: timm.create_model(name, num_classes=CLASSES))
        for name in TIMM
    ]
    for label, make in nets:
        net = make()
        lines += keys(label, net)
        fill(net)
        results = evaluated(net)
        print(label, "largest logit", max(float(abs(r).max()) for r in results.values()))
        if label in TRAINED:
            results |= trained(net)
        tensors |= {f"{label}.{kind}": value for kind, value in results.items()}
    return tensors, "".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    tensors, lines = fixtures()
    if not check:
        FIXTURES.mkdir(parents=True, exist_ok=True)
        save_file(tensors, FIXTURES / "models.safetensors")
        (FIXTURES / "state_dict.txt").write_text(lines)
        return
    committed = load_file(FIXTURES / "models.safetensors")
    wrong = [
        name
        for name in sorted(tensors.keys() | committed.keys())
        if name not in tensors
        or name not in committed
        or not np.allclose(tensors[name], committed[name], rtol=1e-4, atol=1e-4)
    ]
    if (FIXTURES / "state_dict.txt").read_text() != lines:
        wrong.append("state_dict.txt")
    if wrong:
        sys.exit(f"differ from the committed fixtures: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
