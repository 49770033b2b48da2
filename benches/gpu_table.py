"""The tables of a GPU's results: gpu_table.py RESULTS.jsonl [REPORT.md]; on the standard output a line for each network."""

import json
import sys
from pathlib import Path

RIVALS = {"train": "eager", "evaluate": "eager", "audit": "packages"}
TARGETS = {"train": 1.0, "audit": 2.0}
NAMES = {"train": "training", "evaluate": "evaluation", "audit": "audit"}


def read(path):
    """What was measured last, by what it is."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    key = ["part", "network", "size", "batch", "precision", "who"]
    return {tuple(row[name] for name in key): row for row in rows}


def speed(row):
    if row is None:
        return "–"
    return f"{row['speed']:.0f}" if "speed" in row else f"failed: {row['error']}"


def memory(row):
    return f"{row['memory'] / 2**30:.1f}" if row and "memory" in row else "–"


def ratio(ours, theirs):
    return ours["speed"] / theirs["speed"] if ours and theirs and "speed" in ours and "speed" in theirs else None


def lines(rows, part):
    """Ours, its rivals, the ratio to the one that counts, and the memory of both."""
    whos = ["consonance", "eager", "compiled"] if part != "audit" else ["consonance", "packages", "by hand"]
    kinds = list(dict.fromkeys(key[1:5] for key in rows if key[0] == part and key[4]))
    for network, size, batch, precision in kinds:
        found = [rows.get((part, network, size, batch, precision, who)) for who in whos]
        value = ratio(found[0], found[whos.index(RIVALS[part])])
        target = TARGETS.get(part)
        verdict = "" if value is None or target is None else f"{target:.1f} {'met' if value >= target else '**missed**'}"
        cells = [network, f"{size}×{size}, {batch}", precision, *map(speed, found), "–" if value is None else f"{value:.2f}", verdict]
        yield [*cells, memory(found[0]), memory(found[1])]


def table(head, rows):
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]


def report(rows):
    some = next(iter(rows.values()))
    text = [
        f"# On {some['gpu']}, against PyTorch",
        "",
        f"`gpu-check.sh bench` of `make gpu-bundle`; driver {some['driver']}, torch {some['torch']}. Images a second: medians of",
        "repetitions of four steps, with the GPU waited for around each. PyTorch runs with channels last, cuDNN's search for",
        "algorithms, the fused Adam and, for bf16, autocast. Memory is what the whole process takes on the GPU, in GiB.",
    ]
    for part in ["train", "evaluate"]:
        head = ["network", "size, batch", "precision", "consonance", "eager", "compiled", "ours / eager", "target", "memory", "eager"]
        text += ["", f"## {NAMES[part].capitalize()}", "", *table(head, lines(rows, part))]
    head = ["network", "size, batch", "precision", "consonance", "the packages", "by hand", "ours / packages", "target", "memory", "the packages"]
    text += ["", "## Audit", "", "Clean map, FGSM and map of the perturbed image. Ours is what one more batch costs the program `audit`, between 4 and 20 of them by the shorter of",
             "two runs; the rivals' are medians of single batches. The packages are pytorch-grad-cam and torchattacks as they come; by hand is one pass",
             "for map and attack, all on the GPU.", "",
             *table(head, lines(rows, "audit"))]
    text += ["", "## The program `train`", "", "On a pack of noise, reading included, epochs after the first.", ""]
    stage = [[*map(str, key[1:3]), str(key[3]), key[4], speed(row), f"{row['waiting']:.0f} %" if "waiting" in row else ""]
             for key, row in rows.items() if key[0] == "stage"]
    return "\n".join([*text, *table(["network", "size", "batch", "precision", "images/s", "waiting for data"], stage), ""])


def main(results, path=None):
    rows = read(results)
    for part in NAMES:
        for network, shape, precision, *cells in lines(rows, part):
            print(f"{NAMES[part]:10} {network:12} {shape:13} {precision:4} {' / '.join(cells[:3])}: {cells[3]} {cells[4]}")
    for key, row in rows.items():
        if key[0] == "stage":
            print(f"train      {key[1]:12} {key[2]}×{key[2]}, {key[3]:4} {key[4]:4} {speed(row)}: waits {row.get('waiting', 0):.0f} %")
    if path:
        Path(path).write_text(report(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
