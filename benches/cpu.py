"""PyTorch and consonance on the CPU, in turn, in one run: `make bench` writes benches/results/cpu.md and cpu.svg,
and avx2.md: whole networks again, both sides without AVX-512 (ours built so, into target/avx2).

Both sides do the same arithmetic in f32 on all cores: whole steps, evaluation, the attack's gradient, single
convolutions, and the evaluation of explanation consistency. A ratio is the time of the better of PyTorch's two memory
formats over ours: above 1 we are faster. Our training step is timed inside `train` (the epochs after its first), reading of the
pack included; everything else in processes that are stopped while others work (benches/race.py).
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib
import polars as pl
import torch
from race import Worker, race, spread
from safetensors.torch import load_file, save_file

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

BIN = Path("target/release")
HERE = Path(__file__).parent
SIZE, BATCH, CLASSES = 96, 16, 10
ARCHS = ["resnet50", "mobilenet_v2", "vgg16"]
TARGETS = {
    "step": [1.15, 1.5, 1.3],
    "forward": [1.2] * 3,
    "fgsm": [1.3] * 3,
    "memory": [1 / 0.6, 1 / 0.6, 1 / 0.85],
    "audit": [2] * 3,
}
NAMES = {"step": "training step", "forward": "forward, evaluation", "fgsm": "FGSM input gradient"}
# channels, size, outputs, kernel, stride, groups
CONVOLUTIONS = [
    (64, 96, 64, 3, 1, 1),
    (128, 48, 128, 3, 1, 1),
    (256, 24, 256, 3, 1, 1),
    (256, 6, 256, 3, 1, 1),
    (128, 24, 128, 3, 2, 1),
    (64, 24, 256, 1, 1, 1),
    (512, 12, 128, 1, 1, 1),
    (256, 24, 512, 1, 2, 1),
    (3, 96, 64, 7, 2, 1),
    (144, 24, 144, 3, 1, 144),
    (384, 6, 384, 3, 1, 384),
]


def ours(*words):
    return [BIN / "timed", *words]


def theirs(*words):
    return [[sys.executable, HERE / "theirs.py", *words, *format] for format in ([], ["--channels-last"])]


def pack(path, count, labels=None):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=random)
    if labels is None:
        labels = torch.randint(0, CLASSES, (count,), generator=random)
    classes = [f"class {i}" for i in range(CLASSES)]
    meta = {"dataset": "noise", "split": "train", "classes": classes, "labels": "single"}
    save_file({"images": images, "labels": labels}, path, metadata={"pack": json.dumps(meta)})


# A process counts the memory of the one that started it: this one is small.
LAUNCHER = """import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))"""


def run(*command):
    """Seconds, greatest memory in bytes and the log of a program of ours."""
    start = time.perf_counter()
    words = [sys.executable, "-S", "-c", LAUNCHER, *(str(word) for word in command)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return time.perf_counter() - start, int(done.stdout.split()[-1]) * 1024, done.stderr


def training(folder, arch, turns):
    """Seconds of a step, ours and theirs, and the memory of each."""
    # so many that the end of an epoch does not count
    steps = {"resnet50": 8, "mobilenet_v2": 20, "vgg16": 3}[arch]
    pack(folder / "steps.safetensors", steps * BATCH)
    out = folder / arch / "model.safetensors"
    out.parent.mkdir(exist_ok=True)
    seconds, memory, waits = [[], [], []], [0, 0, 0], []
    arguments = ["--arch", arch, "--size", SIZE, "--batch", BATCH]
    workers = [Worker(command) for command in theirs("step", *arguments)]
    for _ in range(turns):
        _, peak, log = run(BIN / "train", "--data", folder / "steps.safetensors", "--arch", arch, "--epochs", 3,
                           "--batch-size", BATCH, "--progress", "none", "--output", out)
        epochs = pl.read_parquet(out.with_name("training.parquet"))["images_per_second"]
        seconds[0] += [BATCH / speed for speed in epochs[1:]]
        memory[0] = max(memory[0], peak)
        waits += [float(share) for share in re.findall(r"([\d.]+) % waiting", log)]
        for worker in workers:
            worker.turn()
    for i, worker in enumerate(workers, 1):
        seconds[i], memory[i] = worker.seconds, worker.end()
    return seconds, memory, max(waits)


def consistency(folder, arch, turns):
    """Seconds that one more sample costs audit, the four stages, evaluation alone, and PyTorch's way.

    From two numbers of samples: what it costs to start and to read the model does not grow with them.
    """
    counts = {"resnet50": (32, 256), "mobilenet_v2": (128, 1024), "vgg16": (32, 160)}[arch]
    model, made = folder / arch / "model.safetensors", folder / arch
    rest = ["--model", model, "--batch-size", BATCH, "--progress", "none"]
    names = ["explain", "attack", "score", "audit", "evaluate"]
    commands = {}
    for count in counts:
        data = folder / f"audited-{count}.safetensors"
        file = {name: made / f"{name}-{count}" for name in [*names, "perturbed"]}
        common = ["--data", data, *rest]
        epsilon = ["--epsilon", 0.01]
        pack(data, count)
        run(BIN / "explain", *common, "--output", file["explain"])
        # all predictions are right, so that all images are attacked and explained again
        pack(data, count, load_file(file["explain"])["predicted"])
        commands[count] = {
            "audit": [["audit", *common, *epsilon, "--output", file["audit"]]],
            "evaluate": [["evaluate", *common, "--output", file["evaluate"]]],
            "staged": [
                ["explain", *common, "--output", file["explain"]],
                ["attack", *common, "--output", file["attack"]],
                ["explain", *common, *epsilon, "--maps", file["explain"], "--perturbations", file["attack"], "--output", file["perturbed"]],
                ["score", "--clean", file["explain"], "--perturbed", file["perturbed"], "--progress", "none", "--output", file["score"]],
            ],
        }
    rivals = [Worker(command) for command in theirs("audit", "--arch", arch, "--size", SIZE, "--batch", BATCH)]
    seconds = {"audit": [], "staged": [], "evaluate": []}
    for _ in range(turns):
        # the first program after PyTorch's turn was slower by seconds where memory was large: not counted
        run(BIN / "audit", *commands[counts[0]]["audit"][0][1:])
        # twice, as the difference of two programs is noisier than either
        for way, found in [*seconds.items()] * 2:
            few, many = (sum(run(BIN / words[0], *words[1:])[0] for words in commands[count][way]) for count in counts)
            found.append((many - few) / (counts[1] - counts[0]))
        for worker in rivals:
            worker.turn()
    seconds["theirs"] = [[s / BATCH for s in rival.seconds] for rival in rivals]
    for worker in rivals:
        worker.end()
    return seconds


def row(name, mine, rivals, target=None, factor=1e3):
    """A line of the table, and its ratio."""
    middle = [spread(values)[0] for values in [mine, *rivals]]
    ratio = min(middle[1:]) / middle[0]
    cells = [f"{m * factor:.3g} ({min(v) * factor:.3g} – {max(v) * factor:.3g})" for m, v in zip(middle, [mine, *rivals])]
    verdict = "" if target is None else f"{target:.2f} {'met' if ratio >= target else '**missed**'}"
    return f"| {name} | {' | '.join(cells)} | {ratio:.2f} | {verdict} |", ratio


def at_most(value, target):
    return f"{target} {'met' if value <= target else '**missed**'}"


def plot(ratios, path):
    """Bars of the ratios, and the line where both sides are equal."""
    figure, axes = pyplot.subplots(figsize=(8, 0.28 * len(ratios) + 1))
    names = list(ratios)[::-1]
    values = [ratios[name] for name in names]
    axes.barh(names, values, color=["#2a6f97" if v >= 1 else "#bc4749" for v in values])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("speed of consonance over PyTorch's better format")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


HEAD = "| what | consonance | PyTorch, default | PyTorch, channels last | ratio | target |\n|---|---|---|---|---|---|"


class Table:
    """Lines of a table, and their ratios."""

    def __init__(self):
        self.lines, self.ratios = [], {}

    def add(self, name, *rest):
        line, self.ratios[name] = row(name, *rest)
        self.lines.append(line)
        print(line, flush=True)


def networks(folder, table, turns):
    """Steps, forward passes and gradients of pixels; the memory of training, and its waits for data."""
    memories, waits = [], []
    for i, arch in enumerate(ARCHS):
        seconds, memory, wait = training(folder, arch, 2 if arch == "vgg16" else turns)
        waits.append(wait)
        table.add(f"{arch}: {NAMES['step']}", seconds[0], seconds[1:], TARGETS["step"][i])
        memories.append((arch, memory, TARGETS["memory"][i]))
    for work in ["forward", "fgsm"]:
        for i, arch in enumerate(ARCHS):
            arguments = [work, "--arch", arch, "--size", SIZE, "--batch", BATCH]
            seconds = race([ours(*arguments), *theirs(*arguments)], turns)
            table.add(f"{arch}: {NAMES[work]}", seconds[0], seconds[1:], TARGETS[work][i])
    return memories, waits


def manner(turns):
    return (
        f"`make bench`; {SIZE}×{SIZE}, batch {BATCH}, {os.cpu_count()} threads, {processor()}; torch {torch.__version__}, "
        f"{platform.python_implementation()} {platform.python_version()}. Milliseconds: median (range) of repetitions in "
        f"{turns} turns (two for VGG-16's steps). A ratio is the better of PyTorch's two formats over ours; above 1 we are faster."
    )


def without_avx512(report, turns=2):
    """The same networks by programs of ours that were built without it, and by PyTorch told not to use it."""
    global BIN
    BIN = Path("target/avx2")
    os.environ.update(ONEDNN_MAX_CPU_ISA="AVX2", ATEN_CPU_CAPABILITY="avx2", MKL_ENABLE_INSTRUCTIONS="AVX2")
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        networks(Path(folder), table, turns)
    words = " ".join(f"`{name}={os.environ[name]}`" for name in ["ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS"])
    text = ["# On the CPU, without AVX-512", "", manner(turns), f"Ours is built with `--features ops/avx2`, PyTorch runs under {words}.",
            "", HEAD, *table.lines, ""]
    Path(report).write_text("\n".join(text))


def main(report, turns=3):
    whole = Table()

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        memories, waits = networks(folder, whole, turns)
        costs = []
        for i, arch in enumerate(ARCHS):
            seconds = consistency(folder, arch, turns)
            whole.add(f"{arch}: audit of a sample", seconds["audit"], seconds["theirs"], TARGETS["audit"][i])
            unit = spread(seconds["evaluate"])[0]
            costs.append((arch, spread(seconds["staged"])[0] / unit, spread(seconds["audit"])[0] / unit))
    operators = Table()
    for shape in CONVOLUTIONS:
        words = dict(zip(["channels", "size", "outputs", "kernel", "stride", "groups"], shape))
        arguments = [word for name, value in words.items() for word in (f"--{name}", value)]
        c, s, o, k, stride, groups = shape
        name = f"{k}×{k}{'' if stride == 1 else f' stride {stride}'}, {c} → {o} at {s}×{s}{', depthwise' if groups > 1 else ''}"
        for work, what in [("conv", "forward"), ("conv-backward", "backward")]:
            command = [work, "--batch", BATCH, *arguments]
            seconds = race([ours(*command), *theirs(*command)], turns)
            operators.add(f"{name}: {what}", seconds[0], seconds[1:])
    text = [
        "# On the CPU, against PyTorch",
        "",
        manner(turns),
        "",
        "![ratios](cpu.svg)",
        "",
        HEAD,
        *whole.lines,
        "",
        "Peak memory of training (whole processes; ours includes writing the model and the optimiser's state at the end):",
        "",
        "| network | consonance | PyTorch, the smaller | share | target |",
        "|---|---|---|---|---|",
        *(f"| {arch} | {m[0] / 2**20:.0f} MiB | {min(m[1:]) / 2**20:.0f} MiB | {m[0] / min(m[1:]):.2f} | "
          f"{1 / t:.2f} {'met' if m[0] / min(m[1:]) <= 1 / t else '**missed**'} |" for arch, m, t in memories),
        "",
        "Cost of the reweighting step, every sample correct, in runs of `evaluate` on the same samples (what hard negative mining",
        "needs, beside a sort); by what more samples cost, without starting the programs:",
        "",
        "| network | four stages | target | audit | target |",
        "|---|---|---|---|---|",
        *(f"| {arch} | {staged:.2f} | {at_most(staged, 4.6)} | {fused:.2f} | {at_most(fused, 3.4)} |"
          for arch, staged, fused in costs),
        "",
        f"Share of training time spent waiting for data: at most {max(waits):.0f} %, by the log of `train`.",
        "",
        "Single convolutions:",
        "",
        HEAD,
        *operators.lines,
        "",
    ]
    Path(report).write_text("\n".join(text))
    plot(whole.ratios | operators.ratios, Path(report).with_suffix(".svg"))


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    without_avx512(sys.argv[1]) if sys.argv[2:] == ["avx2"] else main(sys.argv[1])
