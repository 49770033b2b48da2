"""`score` and `reweight` on many rows: seconds and memory, into benches/results/tables.md (`make bench`)."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from cpu import BIN, run
from safetensors.numpy import save_file

ROWS = [1_000_000, 2_000_000, 5_000_000, 10_000_000]


def scores(path, rows):
    """Synthetic scores: nine of ten samples are correct and have a consistency."""
    index = pl.arange(0, rows, eager=True)
    correct = index % 10 != 0
    value = (index % 1000).cast(pl.Float32) / 1000
    some = pl.DataFrame({"v": value, "c": correct}).select(pl.when("c").then("v"))["v"]
    label = (index % 20).cast(pl.Int32)
    pl.DataFrame({
        "sample": index.cast(pl.UInt32), "label": label, "predicted": label,
        "predicted_perturbed": label, "correct": correct, "loss": value, "confidence": value, "entropy": value,
        "distance": some, "inconsistency": some, "consistency": some,
        "status": pl.Series("status", [0], dtype=pl.UInt8).new_from_index(0, rows),
    }).write_parquet(path)


def maps(path, rows, epsilon, seed):
    """Synthetic maps of 3 x 3 and logits of four classes; nine of ten images are predicted right, both times."""
    random = np.random.default_rng(seed)
    index = np.arange(rows)
    labels = index % 4
    predicted = np.where(index % 10 != 0, labels, (labels + 1) % 4)
    values = random.random((rows, 9), dtype=np.float32)
    # each map from 0 to 1
    values[:, 0], values[:, 1] = 0, 1
    logits = random.random((rows, 4), dtype=np.float32)
    logits[index, predicted] += 1
    meta = {"explainer": "grad-cam", "tap": "features", "image_size": [96, 96], **epsilon}
    tensors = {
        "maps": values.reshape(rows, 3, 3), "logits": logits, "predicted": predicted, "target": predicted,
        "labels": labels, "sample": index.astype(np.uint32), "status": np.zeros(rows, np.uint8),
    }
    save_file(tensors, path, metadata={"maps": json.dumps(meta)})


def row(rows, command):
    seconds, memory = min(run(*command, "--progress", "none")[:2] for _ in range(3))
    cells = f"{seconds:.2f} | {seconds / rows * 1e6:.2f} | {memory / 2**20:.0f} MiB | {memory / rows:.0f}"
    return f"| {rows:,} | {cells} |"


def main(report):
    head = ["| rows | seconds | microseconds a row | peak memory | bytes a row |", "|---|---|---|---|---|"]
    scored, weighted = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        table, weights = folder / "scores.parquet", folder / "weights.parquet"
        clean, perturbed = folder / "maps.safetensors", folder / "perturbed.safetensors"
        for rows in ROWS:
            maps(clean, rows, {}, 0)
            maps(perturbed, rows, {"epsilon": 0.01, "epsilon_unit": "normalized"}, 1)
            scored.append(row(rows, [BIN / "score", "--clean", clean, "--perturbed", perturbed, "--output", table]))
            scores(table, rows)
            weighted.append(row(rows, [BIN / "reweight", "--scores", table, "--method", "consistency", "--output", weights]))
    lines = [
        "# Tables of many rows",
        "",
        "`make bench`; the best of three runs of the whole program.",
        "",
        "`reweight --method consistency` on synthetic scores:",
        "",
        *head,
        *weighted,
        "",
        "`score` on synthetic maps of 3×3 and logits of four classes, 85 bytes a row in either of two files:",
        "",
        *head,
        *scored,
    ]
    Path(report).write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1])
