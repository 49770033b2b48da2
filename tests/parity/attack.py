"""Writes crates/attack/tests/fixtures/fgsm.safetensors: masked FGSM as Captum has it.

Needs torch, captum and safetensors (torch 2.15 and captum 0.9.0 were used). Run it in the
root of the workspace. A linear network has a gradient that is nowhere 0, where Captum
(which moves nothing there) and the paper (whose sign(0) is +1) would differ.
"""

import torch
from captum.robust import FGSM
from safetensors.torch import save_file

BATCH, CLASSES, HEIGHT, WIDTH, EPSILON = 3, 4, 9, 7, 0.1

torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Flatten(), torch.nn.Linear(3 * HEIGHT * WIDTH, CLASSES)
)
x = torch.rand(BATCH, 3, HEIGHT, WIDTH)
labels = torch.arange(BATCH) % CLASSES
maps = torch.rand(BATCH, 1, HEIGHT, WIDTH)
maps[:, :, 0, 0], maps[:, :, 0, 1] = 0, 1  # the ends of the range, as after min-max

loss = torch.nn.CrossEntropyLoss(reduction="none")
leaf = x.clone().requires_grad_()
(gradient,) = torch.autograd.grad(loss(network(leaf), labels).sum(), leaf)
assert (gradient != 0).all()

attack = FGSM(network, loss, lower_bound=0, upper_bound=1)
perturbed = attack.perturb(x, epsilon=EPSILON, target=labels, mask=1 - maps)

save_file(
    {
        "x": x,
        "gradient": gradient.contiguous(),
        "maps": maps.squeeze(1).contiguous(),
        "perturbed": perturbed.detach().contiguous(),
    },
    "crates/attack/tests/fixtures/fgsm.safetensors",
    metadata={"epsilon": str(EPSILON)},
)
