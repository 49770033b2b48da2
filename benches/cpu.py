"""Whole programs on the CPU, PyTorch beside us in one run: `make bench` writes benches/results/cpu.md.

Both sides train the same network on the same pack with the same batches and Adam, in turn, REPEATS
times; images a second are of whole epochs, without start-up. Medians and the range are given.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from performer import ResNet20, pack  # noqa: E402

BIN = Path("target/release")
REPEATS = 3
BATCH = 50
COUNT = 1000


def timed(*command):
    start = time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, capture_output=True)
    return time.perf_counter() - start


def ours(folder):
    """Images a second of our `train`, an epoch."""
    out = folder / "ours" / "model.safetensors"
    timed(BIN / "train", "--data", folder / "train.safetensors", "--arch", "resnet20", "--epochs", 1,
          "--batch-size", BATCH, "--learning-rate", 0.001, "--progress", "none", "--output", out)
    return pl.read_parquet(folder / "ours" / "training.parquet")["images_per_second"][0]


def theirs(folder, memory_format):
    """Images a second of PyTorch's eager training, an epoch."""
    images, labels = pack(folder / "train.safetensors")
    network = ResNet20(10).to(memory_format=memory_format)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    start = time.perf_counter()
    for rows in torch.randperm(len(images)).split(BATCH):
        x = ((images[rows].float() / 255 - mean) / std).contiguous(memory_format=memory_format)
        loss = torch.nn.functional.cross_entropy(network(x), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(images) / (time.perf_counter() - start)


def row(name, values, unit):
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"| {name} | {middle:.3g} {unit} | {low:.3g} – {high:.3g} |"


def main(report):
    torch.set_num_threads(os.cpu_count())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make = [timed(BIN / "prepare", "--dataset", "shapes", "--count", 2000, "--test-count", 1000, "--size", 64,
                      "--progress", "none", "--output", folder / "whole") for _ in range(REPEATS)]
        timed(BIN / "prepare", "--dataset", "shapes", "--count", COUNT, "--test-count", 10, "--size", 64,
              "--progress", "none", "--output", folder)
        speeds = {"consonance": [], "PyTorch, default format": [], "PyTorch, channels last": []}
        for _ in range(REPEATS):
            speeds["consonance"].append(ours(folder))
            speeds["PyTorch, default format"].append(theirs(folder, torch.contiguous_format))
            speeds["PyTorch, channels last"].append(theirs(folder, torch.channels_last))
    best = max(statistics.median(v) for name, v in speeds.items() if name != "consonance")
    ratio = statistics.median(speeds["consonance"]) / best
    lines = [
        "# On the CPU",
        "",
        f"`make bench`; {os.cpu_count()} threads of {platform.machine()}, torch {torch.__version__}; "
        f"median and range of {REPEATS} runs in turn.",
        "",
        "| what | median | range |",
        "|---|---|---|",
        row("`prepare`: 2 000 + 1 000 images of shapes", make, "s"),
        *(row(f"training ResNet-20, 64×64, batch {BATCH}: {name}", v, "images/s") for name, v in speeds.items()),
        "",
        f"Training: {ratio:.2f} of the better of PyTorch's two formats.",
        "",
    ]
    Path(report).write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1])
