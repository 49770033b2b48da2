"""Every explainer against pytorch-grad-cam and Captum on the CPU, in turn: `make bench-explainers` writes
benches/results/explainers.md.

Both sides predict a batch of random images, explain the predicted class of each and bring the maps to the size of the
images, in f32 on all cores. A ratio is the time of the better of PyTorch's two memory formats over ours.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

from cpu import SIZE, ours, processor, theirs
from race import race, spread

CHEAP = ["grad-cam", "xgrad-cam", "grad-cam++", "layer-cam", "hires-cam", "eigen-cam", "eigen-grad-cam", "gradient"]
# methods of many passes for each image: one image, one repetition
DEAR = ["smooth-grad", "integrated-gradients", "ablation-cam", "score-cam"]
ARCHS = ["resnet50", "mobilenet_v2", "vgg16"]


def once(command):
    """Seconds of one repetition."""
    done = subprocess.run([str(word) for word in command], input="\n", capture_output=True, text=True, check=True)
    return [float(done.stdout.split()[-1])]


def main(report):
    lines = []
    for arch in ARCHS:
        for explainer in CHEAP + DEAR:
            batch = 16 if explainer in CHEAP else 1
            arguments = ["explain", "--arch", arch, "--explainer", explainer, "--size", SIZE, "--batch", batch]
            if explainer in CHEAP:
                seconds = race([ours(*arguments), *theirs(*arguments)], 2)
            else:
                # so many passes that theirs need not be warm
                seconds = [once(command) for command in [ours(*arguments), *theirs(*arguments, "--cold")]]
            middle = [spread(values)[0] / batch * 1e3 for values in seconds]
            ratio = min(middle[1:]) / middle[0]
            lines.append(f"| {arch} | {explainer} | {' | '.join(f'{m:.3g}' for m in middle)} | {ratio:.2f} |")
            print(lines[-1], flush=True)
    text = [
        "# Explainers on the CPU, against pytorch-grad-cam and Captum",
        "",
        f"`make bench-explainers`; {SIZE}×{SIZE}, {os.cpu_count()} threads, {processor()}; torch {torch.__version__}. Milliseconds an",
        "image, prediction and resizing of the map included: batches of 16, medians; of the methods of many passes one image, once.",
        "A ratio is the better of PyTorch's two formats over ours: above 1 we are faster. Captum's side of `gradient`, `smooth-grad`",
        "and `integrated-gradients` is `Saliency`, `NoiseTunnel` (50 samples) and `IntegratedGradients` (50 steps).",
        "",
        "| network | explainer | consonance | PyTorch, default | PyTorch, channels last | ratio |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
    ]
    Path(report).write_text("\n".join(text))


if __name__ == "__main__":
    main(sys.argv[1])
