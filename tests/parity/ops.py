"""Writes crates/ops/tests/fixtures/ops.safetensors: what PyTorch computes.

    python tests/parity/ops.py

Each case holds its inputs, its outputs `y`, an upstream gradient `dy` and the gradients.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FIXTURE = Path(__file__).parents[2] / "crates/ops/tests/fixtures/ops.safetensors"

# name: input (H, W), kernel, stride, padding
POOLS = {
    "halve": ((7, 9), (2, 2), (2, 2), (0, 0)),
    "stem": ((9, 7), (3, 3), (2, 2), (1, 1)),
    "oblong": ((8, 7), (2, 3), (1, 2), (1, 0)),
    "sparse": ((11, 10), (2, 2), (3, 4), (1, 1)),
    "dense": ((5, 6), (3, 3), (1, 1), (1, 1)),
}
# name: input (H, W), output
ADAPTIVE = {
    "shrink": ((7, 7), (3, 3)),
    "grow": ((5, 5), (7, 7)),
    "uneven": ((6, 5), (4, 2)),
    "one": ((7, 5), (1, 1)),
}
RESIZE = [((7, 7), (32, 32)), ((5, 3), (9, 14)), ((8, 6), (5, 6)), ((1, 4), (3, 9))]


def normal(*shape, scale=1.0):
    return torch.randn(*shape) * scale


def case(tensors, name, f, **inputs):
    """Records inputs, output, an upstream gradient and the gradient of each float input."""
    leaves = {k: v.clone() for k, v in inputs.items()}
    for leaf in leaves.values():
        leaf.requires_grad_(leaf.is_floating_point())
    y = f(**leaves)
    dy = normal(*y.shape)
    y.backward(dy)
    tensors |= {f"{name}.{k}": v for k, v in inputs.items()}
    tensors |= {f"{name}.y": y.detach(), f"{name}.dy": dy}
    grads = {k: v.grad for k, v in leaves.items() if v.requires_grad}
    tensors |= {f"{name}.d{k}": g for k, g in grads.items() if g is not None}


def fixture():
    t = {}
    for name, (size, kernel, stride, padding) in POOLS.items():
        x = normal(2, 3, *size)
        for kind, pool in [("max", F.max_pool2d), ("avg", F.avg_pool2d)]:
            case(t, f"{kind}.{name}", lambda x: pool(x, kernel, stride, padding), x=x)
    # equal maxima, and the order in which they are found
    ties = torch.randint(0, 3, (2, 2, 9, 8)).float()
    case(t, "max.ties", lambda x: F.max_pool2d(x, 3, 2, 1), x=ties)

    for name, (size, out) in ADAPTIVE.items():
        case(t, f"adaptive.{name}", lambda x: F.adaptive_avg_pool2d(x, out), x=normal(2, 3, *size))

    c = 5
    parameters = {"x": normal(3, c, 4, 7, scale=2.0) + 3, "gamma": normal(c), "beta": normal(c)}
    mean, var = torch.zeros(c), torch.ones(c)

    def train(x, gamma, beta):
        return F.batch_norm(x, mean, var, gamma, beta, training=True, momentum=0.1, eps=1e-5)

    case(t, "norm.train", train, **parameters)
    t |= {"norm.running_mean": mean, "norm.running_var": var}

    def evaluate(x, gamma, beta):
        return F.batch_norm(x, mean, var, gamma, beta, training=False, eps=1e-5)

    case(t, "norm.eval", evaluate, **parameters)

    edges = torch.tensor([[-1.0, -0.0, 0.0, 6.0], [5.999, 6.001, 3.0, 100.0]])
    x = torch.cat([edges, normal(3, 4, scale=5.0)])
    case(t, "relu", lambda x: F.relu(x), x=x)
    case(t, "relu6", lambda x: F.relu6(x), x=x)

    z = torch.cat([normal(4, 7, scale=4.0), torch.tensor([[80.0, 0, -80, 79, 1, 2, 3]])])
    case(t, "log_softmax", lambda x: F.log_softmax(x, 1), x=z)
    target = torch.tensor([0, 6, 3, 2, 1])
    case(t, "cross_entropy", lambda x: F.cross_entropy(x, target, reduction="none"), x=z)
    t["cross_entropy.target"] = target
    hot = torch.randint(0, 2, z.shape).float()

    def bce(x):
        return F.binary_cross_entropy_with_logits(x, hot, reduction="none").mean(1)

    case(t, "bce", bce, x=z)
    t["bce.targets"] = hot

    for i, (size, out) in enumerate(RESIZE):
        x = normal(1, 1, *size)
        y = F.interpolate(x, size=out, mode="bilinear", align_corners=False)
        t |= {f"resize.{i}.x": x[0, 0], f"resize.{i}.y": y[0, 0]}
    return {k: v.contiguous().clone() for k, v in t.items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    save_file(fixture(), FIXTURE)
    print(f"{FIXTURE}: {FIXTURE.stat().st_size} bytes")
