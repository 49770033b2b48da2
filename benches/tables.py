"""`reweight` on tables of many rows: seconds and memory, into benches/results/tables.md (`make bench`)."""

import sys
import tempfile
from pathlib import Path

import polars as pl
from cpu import BIN, run

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


def main(report):
    lines = [
        "# Tables of many rows",
        "",
        "`make bench`: `reweight --method consistency` on synthetic scores.",
        "",
        "| rows | seconds | microseconds a row | peak memory | bytes a row |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        table, weights = Path(folder) / "scores.parquet", Path(folder) / "weights.parquet"
        for rows in ROWS:
            scores(table, rows)
            command = [BIN / "reweight", "--scores", table, "--method", "consistency", "--output", weights]
            seconds, memory = min(run(*command, "--progress", "none")[:2] for _ in range(3))
            lines.append(f"| {rows:,} | {seconds:.2f} | {seconds / rows * 1e6:.2f} | {memory / 2**20:.0f} MiB | {memory / rows:.0f} |")
    Path(report).write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1])
