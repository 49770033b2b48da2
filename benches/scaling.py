"""Time a sample against batch size, image size, number of classes and of samples: benches/results/scaling.md and .svg.

One axis is varied at a time; the others are ResNet-18, 64 pixels, batches of 16.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib
import torch
from cpu import BIN, ours, pack, run
from race import race, spread

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

AXES = {
    "batch": [1, 2, 4, 8, 16, 32, 64],
    "size": [32, 64, 96, 128, 192, 256],
    "classes": [2, 10, 100, 1000],
}
BASE = {"batch": 16, "size": 64, "classes": 10}
WORK = ["forward", "fgsm"]
SAMPLES = [250, 1000, 2000]


def milliseconds(work, **varied):
    """A sample's share of a batch."""
    words = {**BASE, **varied}
    arguments = [word for name, value in words.items() for word in (f"--{name}", value)]
    [seconds] = race([ours(work, "--arch", "resnet18", *arguments)], 2)
    return spread(seconds)[0] / words["batch"] * 1e3


def memory(folder):
    """Peak memory of the stages that go over a pack, in MiB, by its number of images."""
    model = folder / "model.safetensors"
    pack(folder / "some.safetensors", 50)
    run(BIN / "train", "--data", folder / "some.safetensors", "--arch", "mobilenet_v2", "--epochs", 1, "--progress",
        "none", "--output", model)
    found = {}
    for count in SAMPLES:
        data = folder / f"{count}.safetensors"
        pack(data, count)
        common = ["--data", data, "--model", model, "--progress", "none"]
        for name, flags in {"explain": [], "attack": [], "audit": ["--epsilon", 0.01]}.items():
            seconds, peak, _ = run(BIN / name, *common, *flags, "--output", folder / name)
            found[name, count] = (seconds / count * 1e3, peak / 2**20)
        data.unlink()
    return found


def main(report):
    torch.set_num_threads(1)
    lines = ["# Scaling", "", "`make bench-scaling`; ResNet-18, 64×64, batches of 16, unless varied.", "", "![plot](scaling.svg)", ""]
    figure, panels = pyplot.subplots(1, len(AXES), figsize=(10, 3))
    for panel, (axis, values) in zip(panels, AXES.items()):
        lines += [f"| {axis} | " + " | ".join(f"{work}, ms a sample" for work in WORK) + " |", "|---|---|---|"]
        table = {work: [milliseconds(work, **{axis: value}) for value in values] for work in WORK}
        for i, value in enumerate(values):
            lines.append(f"| {value} | " + " | ".join(f"{table[work][i]:.2f}" for work in WORK) + " |")
        lines.append("")
        for work in WORK:
            panel.plot(values, table[work], marker="o", label=work)
        panel.set(xlabel=axis, xscale="log", yscale="log")
    panels[0].set_ylabel("ms a sample")
    panels[0].legend()
    figure.tight_layout()
    figure.savefig(Path(report).with_suffix(".svg"), metadata={"Date": None})
    lines += ["MobileNetV2 at 96×96, by the number of images of the pack (whole programs; the pack is mapped, and its",
              "pages, 27 KiB an image, are what memory grows by):", "",
              "| images | explain | attack | audit |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        found = memory(Path(folder))
    for count in SAMPLES:
        cells = [f"{found[name, count][0]:.1f} ms a sample, {found[name, count][1]:.0f} MiB" for name in ["explain", "attack", "audit"]]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    Path(report).write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1])
