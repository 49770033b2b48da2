"""Parameters after each of three steps of torch.optim, printed as Rust arrays.

The constants in crates/ops/tests/optimizer.rs come from here.
"""

import numpy
import torch

START = [1.0, -2.0, 0.5, 0.0]
GRADIENTS = [
    [0.1, -0.2, 0.0, 3.0],
    [-0.3, 0.4, 1e-4, 2.0],
    [0.05, 0.6, -1e-4, -1.0],
]
RATES = [0.1, 0.1, 0.01]  # the last step is after a decay


def steps(make):
    parameter = torch.tensor(START, requires_grad=True)
    optimizer = make([parameter])
    for gradient, rate in zip(GRADIENTS, RATES):
        for group in optimizer.param_groups:
            group["lr"] = rate
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        print("    [" + ", ".join(str(v) for v in numpy.asarray(parameter.detach())) + "],")


for name, make in {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1, foreach=False),
    "Adam, weight decay 0.01": lambda p: torch.optim.Adam(
        p, lr=0.1, weight_decay=0.01, foreach=False
    ),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, foreach=False),
    "SGD, momentum 0.9, weight decay 0.01": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, weight_decay=0.01, foreach=False
    ),
}.items():
    print(f"# {name}")
    steps(make)
