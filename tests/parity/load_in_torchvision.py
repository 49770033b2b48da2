"""Loads a model file of ours in torchvision, strictly, and compares its logits with a maps file's.

    python tests/parity/load_in_torchvision.py model.safetensors
    python tests/parity/load_in_torchvision.py model.safetensors --data PACK --maps MAPS

Prints the largest difference; fails if it exceeds the tolerance.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open

from networks import Normalized, build

BATCH = 32


def load(path):
    """The network in `path`, behind its normalisation, in evaluation mode."""
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["model"])
        state = {name: file.get_tensor(name) for name in file.keys()}
    net = build(meta["arch"], len(meta["classes"]))
    net.load_state_dict(state, strict=True)
    return meta["arch"], Normalized(net, meta["mean"], meta["std"]).eval()


def largest_difference(net, pack, maps):
    """Over the samples of `maps`, which are rows of `pack`."""
    largest = 0.0
    with safe_open(pack, "pt") as pack, safe_open(maps, "pt") as maps, torch.no_grad():
        images, expected = pack.get_slice("images"), maps.get_tensor("logits")
        rows = maps.get_tensor("sample").tolist()
        for start in range(0, len(rows), BATCH):
            batch = torch.stack([images[row] for row in rows[start : start + BATCH]])
            logits = net(batch.float() / 255)
            difference = (logits - expected[start : start + BATCH]).abs().max().item()
            largest = max(largest, difference)
    return largest


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, metavar="PACK")
    parser.add_argument("--maps", type=Path, metavar="MAPS", help="its `logits` are compared")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    if (args.data is None) != (args.maps is None):
        parser.error("--data and --maps go together")
    arch, net = load(args.model)
    print(f"{args.model}: loaded as {arch}")
    if args.data:
        difference = largest_difference(net, args.data, args.maps)
        print(f"largest difference of a logit: {difference:.3g}")
        # not `>`: a NaN must fail too
        if not difference <= args.tolerance:
            sys.exit(f"more than {args.tolerance:g}")


if __name__ == "__main__":
    main()
