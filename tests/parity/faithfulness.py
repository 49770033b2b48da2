"""Writes crates/metrics/tests/fixtures/faithfulness.safetensors.

Needs torch, grad-cam, torchcam, scipy and safetensors (torch 2.15, grad-cam 1.5.7, torchcam
0.5.0 and scipy 1.17.1 were used). Run it in the root of the workspace.

Two images, a map each (a random one, and what each pixel contributes) and a linear network. ROAD is pytorch-grad-cam's, with its noise set to
0; insertion, deletion, average drop and average increase are torchcam's; the blur that
insertion starts from and the rank correlations are SciPy's. The values of a map are all
different, because pytorch-grad-cam removes equal ones together; the pixels can be divided by
the 20 steps of the curves, because torchcam would round a step up. The maps whose ranks are
correlated have equal values.
"""

from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from pytorch_grad_cam.metrics.road import ROADLeastRelevantFirst, ROADMostRelevantFirst
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

BATCH, CLASSES, HEIGHT, WIDTH = 2, 3, 8, 10
AREA = HEIGHT * WIDTH
PERCENTILES = range(10, 100, 10)

random = torch.Generator().manual_seed(0)
mean = torch.tensor([0.4, 0.5, 0.6]).reshape(3, 1, 1)
std = torch.tensor([0.2, 0.25, 0.3]).reshape(3, 1, 1)
pixels = torch.rand(BATCH, 3, HEIGHT, WIDTH, generator=random)
maps = torch.stack([torch.randperm(AREA, generator=random) for _ in range(BATCH)])
maps = (maps.reshape(BATCH, HEIGHT, WIDTH) / 128).float()
weight = torch.randn(CLASSES, 3 * AREA, generator=random) * 0.1

network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * AREA, CLASSES, bias=False))
network[1].weight = torch.nn.Parameter(weight)
normalized = (pixels - mean) / std
predicted = network(normalized).argmax(1)
contribution = (weight[predicted[1]] * normalized[1].flatten()).reshape(3, AREA).sum(0)
maps[1] = (contribution.argsort().argsort().reshape(HEIGHT, WIDTH) / 128).float()


class Maps:
    """What torchcam asks of a method: it has these maps already."""

    def __init__(self, image):
        self.model, self.image = network, image

    def __call__(self, class_idx, scores, **_):
        return [maps[self.image][None]]

    def fuse_cams(self, cams):
        return cams[0]

    def _hooks_off(self):
        return nullcontext()


def blur(x):
    """Without the darkness that a border of zeros would bring in."""
    smooth = partial(gaussian_filter, sigma=5, radius=5, mode="constant")
    channels = [smooth(c) / smooth(np.ones_like(c)) for c in x.double().numpy()]
    return torch.from_numpy(np.stack(channels)).float()


blurred = torch.stack([blur(x) for x in pixels])
softmax = partial(torch.softmax, dim=-1)
targets = [ClassifierOutputSoftmaxTarget(int(c)) for c in predicted]
curves, shares, road, imputed = [], [], [], {}
for i in range(BATCH):
    x = normalized[i : i + 1]
    confidence = ClassificationMetric(Maps(i), softmax)
    confidence.update(x)
    shares.append([confidence.summary()[name] for name in ("avg_drop", "conf_increase")])
    deletion = DeletionInsertionMetric(Maps(i), softmax)
    deletion.update(x)
    insertion = DeletionInsertionMetric(Maps(i), softmax, baseline=(blurred[i] - mean) / std)
    insertion.update(x)
    curves.append([insertion.summary()["insertion_auc"], deletion.summary()["deletion_auc"]])
    ways = []
    for name, way in [("morf", ROADMostRelevantFirst), ("lerf", ROADLeastRelevantFirst)]:
        changes = []
        for percentile in PERCENTILES:
            metric = way(percentile)
            metric.perturbation.imputer.noise = 0
            change, images = metric(
                x, maps[i : i + 1].numpy(), [targets[i]], network, return_visualization=True
            )
            changes.append(change[0])
            imputed.setdefault(name, []).append(images[0] * std + mean)
        ways.append(np.mean(changes))
    road.append([*ways, (ways[1] - ways[0]) / 2])

coarse = torch.randint(0, 5, (2, AREA), generator=random).float()
tensors = {
    "mean": mean.flatten(),
    "std": std.flatten(),
    "pixels": pixels,
    "maps": maps,
    "weight": weight,
    "blurred": blurred,
    "curves": torch.tensor(curves),
    "shares": torch.tensor(shares),
    "road": torch.tensor(np.array(road)).float(),
    "morf": torch.stack(imputed["morf"]).reshape(BATCH, len(PERCENTILES), 3, HEIGHT, WIDTH),
    "lerf": torch.stack(imputed["lerf"]).reshape(BATCH, len(PERCENTILES), 3, HEIGHT, WIDTH),
    "coarse": coarse,
    "spearman": torch.tensor([spearmanr(maps[0].flatten(), maps[1].flatten()).statistic,
                              spearmanr(coarse[0], coarse[1]).statistic]).float(),
}
for name in ("curves", "shares", "road", "spearman"):
    print(name, tensors[name].tolist())
save_file(
    {name: tensor.detach().contiguous() for name, tensor in tensors.items()},
    "crates/metrics/tests/fixtures/faithfulness.safetensors",
)
