"""`prepare` against the decoder alone, on all cores and in turn, into benches/results/input.md (`make bench`)."""

import re
import sys
import tempfile
from pathlib import Path

import torch
from cpu import BIN, ours, run
from PIL import Image
from race import Worker, spread

COUNT, SIZE, TURNS = 2000, (500, 375), 5


def photographs(folder):
    """JPEG files that take as long as photographs: large shapes, fine ones, and a little noise; 60 to 70 KiB each."""
    random = torch.Generator().manual_seed(0)
    for i in range(COUNT):
        image = torch.zeros(3, SIZE[1], SIZE[0])
        for cells, share in [(4, 90.0), (24, 40.0), (96, 25.0)]:
            noise = torch.randn(1, 3, cells, cells, generator=random) * share
            image += torch.nn.functional.interpolate(noise, (SIZE[1], SIZE[0]), mode="bicubic")[0]
        image += torch.randn(image.shape, generator=random) * 4 + 128
        path = folder / f"class {i % 2}" / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image.clamp(0, 255).byte().permute(1, 2, 0).numpy()).save(path, quality=90)


def main(report):
    whole, decoding = [], []
    with tempfile.TemporaryDirectory() as folder:
        root, packs = Path(folder) / "root", Path(folder) / "packs"
        root.mkdir()
        photographs(root)
        size = sum(path.stat().st_size for path in root.glob("*/*")) / COUNT / 1024
        decoder = Worker(ours("decode", root))
        command = [BIN / "prepare", "--dataset", "folder", "--root", root, "--test-fraction", 0.1, "--size", 96]
        for _ in range(TURNS):
            seconds, _, log = run(*command, "--progress", "plain", "--output", packs)
            whole.append(seconds)
            # of its last line of progress
            rate = re.findall(r"%\), ([\d .]+)/s, in ", log)[-1]
            decoding.append(COUNT / float(rate.replace(" ", "")))
            decoder.turn()
        decoder.end()
    alone, decoding, whole = spread(decoder.seconds), spread(decoding), spread(whole)
    ratio = alone[0] / decoding[0]
    lines = [
        "# Reading images",
        "",
        f"`make bench`: {COUNT} JPEG files of {SIZE[0]}×{SIZE[1]}, {size:.0f} KiB on average, from the page cache. The decoder alone is",
        "the same crate on all cores, which throws the pixels away. `prepare` while it decodes (its line of progress) also hashes the",
        "files and resizes to 96×96; the whole program also starts, lists the files, writes the packs and waits until they are on the",
        "disk. Medians, in brackets the range.",
        "",
        "| | images/s | seconds | ratio |",
        "|---|---|---|---|",
        *(
            f"| {name} | {COUNT / time[0]:.0f} | {time[0]:.2f} ({time[1]:.2f} – {time[2]:.2f}) | {alone[0] / time[0]:.2f} |"
            for name, time in [("decoder alone", alone), ("`prepare`, decoding", decoding), ("`prepare`, whole", whole)]
        ),
        "",
        f"`prepare` decodes at {ratio:.2f} of the decoder's rate (target 0.9 {'met' if ratio >= 0.9 else '**missed**'}).",
        "",
    ]
    Path(report).write_text("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1])
