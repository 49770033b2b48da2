"""Convolutions and linear layers of PyTorch: results and gradients for ops' tests.

    python tests/parity/ops_conv.py crates/ops/tests/fixtures/conv.safetensors

A case `name` has the tensors name.x, name.w, name.b, name.g (gradient of the result),
name.y, name.dx, name.dw, name.db; the metadata holds its arguments as
"stride_y stride_x padding_y padding_x dilation_y dilation_x groups".
"""

import sys

import torch
from safetensors.torch import save_file

# input, weights, stride, padding, dilation, groups
CONVOLUTIONS = {
    "plain": ([2, 3, 9, 8], [5, 3, 3, 3], (1, 1), (1, 1), (1, 1), 1),
    "first_layer": ([1, 3, 20, 21], [8, 3, 7, 7], (2, 2), (3, 3), (1, 1), 1),
    "strided": ([2, 6, 9, 10], [4, 6, 3, 3], (2, 2), (1, 1), (1, 1), 1),
    "uneven": ([1, 4, 11, 8], [3, 4, 3, 2], (1, 3), (2, 0), (2, 1), 1),
    "projection": ([1, 8, 9, 9], [6, 8, 1, 1], (2, 2), (0, 0), (1, 1), 1),
    "pointwise": ([1, 4, 16, 17], [6, 4, 1, 1], (1, 1), (0, 0), (1, 1), 1),
    "grouped": ([2, 6, 7, 8], [4, 3, 3, 3], (1, 1), (1, 1), (1, 1), 2),
    "depthwise": ([2, 5, 9, 10], [5, 1, 3, 3], (2, 2), (1, 1), (1, 1), 5),
    "multiplied": ([2, 3, 7, 6], [6, 1, 3, 3], (1, 1), (1, 1), (1, 1), 3),
}


def main(path):
    torch.manual_seed(0)
    tensors, metadata = {}, {}

    def record(name, x, w, b, f):
        x, w, b = (t.requires_grad_() for t in (x, w, b))
        y = f(x, w, b)
        g = torch.randn_like(y)
        y.backward(g)
        values = {"x": x, "w": w, "b": b, "g": g, "y": y, "dx": x.grad, "dw": w.grad, "db": b.grad}
        for key, value in values.items():
            tensors[f"{name}.{key}"] = value.detach().contiguous()

    for name, (x, w, stride, padding, dilation, groups) in CONVOLUTIONS.items():
        metadata[name] = " ".join(map(str, (*stride, *padding, *dilation, groups)))
        record(
            name,
            torch.randn(x),
            torch.randn(w),
            torch.randn(w[0]),
            lambda x, w, b: torch.nn.functional.conv2d(x, w, b, stride, padding, dilation, groups),
        )
    record("linear", torch.randn(3, 20), torch.randn(7, 20), torch.randn(7), torch.nn.functional.linear)
    metadata["torch"] = torch.__version__
    save_file(tensors, path, metadata)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "crates/ops/tests/fixtures/conv.safetensors")
