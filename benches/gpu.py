"""PyTorch and consonance on a GPU: gpu.py BIN RESULTS.jsonl [--networks …] [--sizes …] [--parts …]

Adds a line to RESULTS for each thing measured; benches/gpu_table.py makes the tables. The sides work one after the other, as
a GPU has memory for one of them; each waits for the GPU around a repetition of several steps. Data is on the GPU already;
`audit` and the share of training that waits for data are of the programs themselves.

PyTorch runs with channels last, cuDNN's search for the fastest algorithm, the fused Adam, and autocast for bf16.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import theirs
from safetensors.numpy import load_file, save_file

NETWORKS = ["resnet50", "vgg16", "mobilenet_v2"]
BATCH = {224: 128, 96: 100}
PRECISIONS = ["tf32", "bf16"]
# Seconds of repetitions that count, and the fewest of them; steps of one.
SECONDS, FEWEST, STEPS = 0.8, 3, 4
CLASSES = 10
PARTS = {"train": "step", "evaluate": "forward"}


def last_line(file):
    file.seek(0)
    return (file.read().strip().splitlines() or ["no answer"])[-1]


class Ours:
    """A program of ours that answers each line of its input by seconds."""

    def __init__(self, command):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, bufsize=1)
        self.input, self.output, self.wait = self.process.stdin, self.process.stdout, self.process.wait


class Theirs:
    """`theirs.py` in a process that need not import PyTorch again."""

    def __init__(self, words):
        self.errors = tempfile.TemporaryFile("w+")
        (there, ours), (answers, back) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.work(words, there, back, [ours, answers])
        os.close(there), os.close(back)
        self.input, self.output = os.fdopen(ours, "w", buffering=1), os.fdopen(answers)

    def work(self, words, there, back, others):
        for other in others:
            os.close(other)
        os.dup2(there, 0), os.dup2(back, 1), os.dup2(self.errors.fileno(), 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
        try:
            theirs.main([str(word) for word in words])
        except BaseException as error:
            print(f"\n{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}", file=sys.stderr)
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(0)

    def wait(self):
        os.waitpid(self.pid, 0)


def memory():
    """Bytes that are taken on the GPU, by anyone."""
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(asked, capture_output=True, text=True).stdout.split()[0]) * 2**20


def measured(worker, before):
    """Seconds of repetitions, and memory; or why there are none."""
    seconds, extra = [], {}
    try:
        for repetition in range(1000):
            worker.input.write("\n")
            worker.input.flush()
            found = float(worker.output.readline())
            # the first one settles: caches and clocks
            if repetition:
                seconds.append(found)
            if len(seconds) >= FEWEST and sum(seconds) * STEPS >= SECONDS:
                break
        extra["memory"] = memory() - before
        worker.input.close()
        if rest := worker.output.read().split():
            extra["allocated"] = int(rest[-1])
    except (ValueError, OSError):
        worker.wait()
        return [], {"error": last_line(worker.errors)}
    worker.wait()
    return seconds, extra


def rival(work, arch, size, precision, *flags, steps=STEPS):
    return ["--arch", arch, "--size", size, "--batch", BATCH[size], "--device", "cuda", "--precision", precision,
            "--times", steps, work, *flags]


def ours(timed, work, arch, size, precision):
    return [timed, work, "--arch", arch, "--size", size, "--batch", BATCH[size], "--device", "cuda", "--precision", precision,
            "--times", STEPS]


def run(*command):
    """Seconds and the log of a program of ours."""
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    return time.perf_counter() - start, done.stderr


def most_memory(command, before):
    """Bytes that a program of ours takes on the GPU at most."""
    process, most = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), 0
    while process.poll() is None:
        most = max(most, memory() - before)
    if process.returncode:
        raise RuntimeError(f"{command[0]}: exit {process.returncode}")
    return most


def pack(path, count, size, labels=None):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 3, size, size), np.uint8)
    labels = random.integers(0, CLASSES, count) if labels is None else labels
    classes = [f"class {i}" for i in range(CLASSES)]
    meta = {"dataset": "noise", "split": "train", "classes": classes, "labels": "single"}
    save_file({"images": images, "labels": labels.astype(np.int64)}, path, metadata={"pack": json.dumps(meta)})


class Bench:
    def __init__(self, args):
        self.args, self.before = args, memory()
        names = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                               capture_output=True, text=True).stdout
        self.gpu, self.driver = names.splitlines()[0].split(", ")

    def tell(self, part, arch, size, who, precision, seconds, images, **extra):
        """A line of results: images a second, from the seconds of each repetition."""
        row = {"gpu": self.gpu, "driver": self.driver, "torch": theirs.torch.__version__, "part": part, "network": arch,
               "size": size, "batch": BATCH[size], "who": who, "precision": precision, **extra}
        if seconds:
            speeds = [images / s for s in seconds]
            row |= {"speed": statistics.median(speeds), "range": [min(speeds), max(speeds)]}
        with open(self.args.results, "a") as file:
            print(json.dumps(row), file=file)
        shown = f"{row['speed']:.0f} images/s" if seconds else extra.get("error", "")
        print(f"{part} {arch} {size}: {who} {precision}: {shown}", flush=True)

    def steps(self, part, arch, size):
        """Training or evaluation, of both sides in every precision."""
        work, batch = PARTS[part], BATCH[size]
        for precision in self.args.precisions:
            seconds, extra = measured(Ours(ours(self.args.bin / "timed", work, arch, size, precision)), self.before)
            self.tell(part, arch, size, "consonance", precision, seconds, batch, **extra)
            hows = ["eager"] + ["compiled"] * (size in self.args.compile)
            for how in hows:
                flags = ["--channels-last", *["--compile"] * (how == "compiled")]
                seconds, extra = measured(Theirs(rival(work, arch, size, precision, *flags)), self.before)
                self.tell(part, arch, size, how, precision, seconds, batch, **extra)

    def audit(self, arch, size, folder):
        """Images a second of `audit`, as one more batch costs: what starting costs is left out."""
        batch, made = BATCH[size], folder / f"audited-{arch}"
        made.mkdir(exist_ok=True)
        data, model = made / "pack.safetensors", made / "model.safetensors"
        # behind the batches that find no memory yet
        counts = [4 * batch, 20 * batch]
        pack(data, batch, size)
        common = ["--device", "cuda", "--batch-size", batch, "--progress", "none"]
        run(self.args.bin / "train", "--data", data, "--arch", arch, "--epochs", 1, *common, "--output", model)
        # the packages know no autocast
        precision = self.args.precisions[0]
        rest = ["--data", data, "--model", model, *common, "--precision", precision]
        pack(data, counts[1], size)
        run(self.args.bin / "explain", *rest, "--output", made / "maps.safetensors")
        # all predictions are right, so that all images are attacked and explained again
        predicted = load_file(made / "maps.safetensors")["predicted"]
        took = []
        for count in counts:
            pack(data, count, size, predicted[:count])
            audit = [self.args.bin / "audit", *rest, "--epsilon", 0.01, "--output", made / "audit.parquet"]
            # the first time the pack may still be on its way to the disk
            took.append(min(run(*audit)[0] for _ in range(2)))
        seconds = (took[1] - took[0]) / (counts[1] - counts[0])
        self.tell("audit", arch, size, "consonance", precision, [seconds], 1, memory=most_memory(audit, self.before))
        for who, work in {"packages": "audit", "by hand": "audit-on-gpu"}.items():
            seconds, extra = measured(Theirs(rival(work, arch, size, precision, "--channels-last", steps=1)), self.before)
            self.tell("audit", arch, size, who, precision, seconds, batch, **extra)

    def waiting(self, arch, size, folder):
        """Images a second of `train` itself, and what share of its time it waits for data."""
        data, out = folder / f"noise-{size}.safetensors", folder / f"waited-{arch}"
        out.mkdir(exist_ok=True)
        if not data.exists():
            pack(data, 12 * BATCH[size], size)
        # that which waits most
        precision = self.args.precisions[-1]
        _, log = run(self.args.bin / "train", "--data", data, "--arch", arch, "--epochs", 3, "--batch-size", BATCH[size],
                     "--device", "cuda", "--precision", precision, "--progress", "none", "--output", out / "model.safetensors")
        epochs = re.findall(r"([\d.]+) images/s, ([\d.]+) % waiting", log)[1:]
        seconds = [1 / float(speed) for speed, _ in epochs]
        self.tell("stage", arch, size, "train", precision, seconds, 1, waiting=max(float(share) for _, share in epochs))

    def warm(self, sizes):
        """Lets the compiler fill its cache for all that will be timed, several at a time."""
        words = [rival(PARTS[part], arch, size, precision, "--channels-last", "--compile", steps=1) for size in sizes
                 for arch in self.args.networks for part in self.args.parts if part in PARTS for precision in self.args.precisions]

        for start in range(0, len(words), 4):
            workers = [Theirs(words) for words in words[start : start + 4]]
            # a later one holds the ends of the pipes to those before it
            for worker in reversed(workers):
                worker.input.close(), worker.output.read(), worker.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 96], choices=BATCH)
    parser.add_argument("--parts", nargs="+", default=["train", "evaluate", "audit", "stage"])
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS)
    parser.add_argument("--compile", nargs="*", type=int, default=[224], help="sizes at which torch.compile is timed too")
    parser.add_argument("--warm", action="store_true", help="only fill the cache of torch.compile")
    args = parser.parse_args()
    bench = Bench(args)
    if args.warm:
        return bench.warm(args.compile)
    with tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            for arch in args.networks:
                for part in args.parts:
                    try:
                        if part in PARTS:
                            bench.steps(part, arch, size)
                        elif part == "audit":
                            bench.audit(arch, size, Path(folder))
                        else:
                            bench.waiting(arch, size, Path(folder))
                    except RuntimeError as error:
                        bench.tell(part, arch, size, "consonance", "", [], 1, error=str(error))


if __name__ == "__main__":
    main()
