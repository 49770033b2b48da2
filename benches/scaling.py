"""Time a sample against batch size, image size, number of classes and of samples: benches/results/scaling.md and .svg.

One axis is varied at a time; the others are ResNet-18, 64 pixels, batches of 16.
"""

import re
import subprocess
import sys
import tempfile
import time
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
SAMPLES = [1000, 3000, 10000]


def milliseconds(work, **varied):
    """A sample's share of a batch."""
    words = {**BASE, **varied}
    arguments = [word for name, value in words.items() for word in (f"--{name}", value)]
    [seconds] = race([ours(work, "--arch", "resnet18", *arguments)], 2)
    return spread(seconds)[0] / words["batch"] * 1e3


def watched(count, *command):
    """Milliseconds a sample, and the greatest memory in MiB: of the program's own, and with the pages of mapped files."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    own = whole = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        kilobytes = dict(re.findall(r"(RssAnon|VmHWM):\s+(\d+) kB", status))
        own, whole = max(own, int(kilobytes.get("RssAnon", 0))), max(whole, int(kilobytes.get("VmHWM", 0)))
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"{command}: exit {process.returncode}")
    return (time.perf_counter() - start) / count * 1e3, own / 1024, whole / 1024


def memory(folder):
    """That of the stages that go over a pack, by its number of images."""
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
            found[name, count] = watched(count, BIN / name, *common, *flags, "--output", folder / name)
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
    stages = ["explain", "attack", "audit"]
    lines += [
        "MobileNetV2 at 96×96, by the number of images of the pack: whole programs, batches of 64. Memory is the program's own",
        "(`RssAnon`), in brackets with the pages of the mapped pack, 27 KiB an image, which the kernel takes back when it needs",
        "them. `attack` also holds its result, 3.4 KiB an image, until it is written.", "",
        "| images | " + " | ".join(stages) + " |", "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        found = memory(Path(folder))
    for count in SAMPLES:
        cells = ["{:.1f} ms a sample, {:.0f} ({:.0f}) MiB".format(*found[name, count]) for name in stages]
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    Path(report).write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1])
