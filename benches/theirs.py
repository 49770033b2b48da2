"""PyTorch's side of `benches/cpu.py`: times one piece of work again and again, as `timed` does on ours.

Each line of the standard input asks for one repetition, and is answered by its seconds.
"""

import argparse
import os
import sys
import time

import torch
import torchvision

CLASSES = 10


def whole(args):
    """A network and a batch, in the memory format that is asked for."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, args.arch)(num_classes=CLASSES).to(memory_format=args.format)
    images = torch.rand(args.batch, 3, args.size, args.size).contiguous(memory_format=args.format)
    return network, images, torch.arange(args.batch) % CLASSES


def step(args):
    network, images, labels = whole(args)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def work():
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def forward(args):
    network, images, _ = whole(args)
    network.eval()

    def work():
        with torch.no_grad():
            network(images)

    return work


def fgsm(args):
    """The signs of the pixels' gradient; the parameters want none."""
    network, images, labels = whole(args)
    network.eval().requires_grad_(False)

    def work():
        x = images.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        torch.autograd.grad(loss, x)[0].sign()

    return work


def audit(args):
    """Grad-CAM, FGSM, the composition of Eq. (1), and Grad-CAM again, by the usual packages as they come.

    Grad-CAM wants the gradients of the whole network, parameters included; ours goes back to the tap alone.
    """
    from pytorch_grad_cam import GradCAM
    from torchattacks import FGSM

    network, images, _ = whole(args)
    network.eval()
    layer = {"resnet50": lambda: network.layer4[-1], "mobilenet_v2": lambda: network.features[-1],
             "vgg16": lambda: network.features[-1]}[args.arch]()
    cam, attack, epsilon = GradCAM(network, [layer]), FGSM(network, eps=0.01), 0.01
    with torch.no_grad():
        labels = network(images).argmax(1)

    def work():
        # without targets it explains the prediction
        clean = cam(images, None)
        sign = (attack(images, labels) - images).sign()
        x = (images + epsilon * sign * (1 - torch.from_numpy(clean)[:, None])).clamp(0, 1)
        perturbed = cam(x, None)
        return ((clean - perturbed) ** 2).sum((1, 2))

    return work


def convolution(args):
    x = torch.rand(args.batch, args.channels, args.size, args.size).contiguous(memory_format=args.format)
    shape = (args.outputs, args.channels // args.groups, args.kernel, args.kernel)
    w = torch.rand(shape).contiguous(memory_format=args.format)
    options = {"stride": args.stride, "padding": (args.kernel - 1) // 2, "groups": args.groups}
    return x, w, options


def conv(args):
    x, w, options = convolution(args)

    def work():
        with torch.no_grad():
            torch.nn.functional.conv2d(x, w, **options)

    return work


def conv_backward(args):
    x, w, options = convolution(args)
    x.requires_grad_(), w.requires_grad_()
    y = torch.nn.functional.conv2d(x, w, **options)
    dy = y.detach().clone()
    return lambda: torch.autograd.grad(y, (x, w), dy, retain_graph=True)


WORK = {"step": step, "forward": forward, "fgsm": fgsm, "audit": audit, "conv": conv, "conv-backward": conv_backward}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=WORK)
    parser.add_argument("--arch")
    for number in ["size", "batch", "channels", "outputs", "kernel", "stride", "groups"]:
        parser.add_argument(f"--{number}", type=int)
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    args.format = torch.channels_last if args.channels_last else torch.contiguous_format
    torch.set_num_threads(os.cpu_count())
    work = WORK[args.work](args)
    work()
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
