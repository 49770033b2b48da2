"""PyTorch's side of `benches/cpu.py` and `benches/gpu.py`: times one piece of work again and again, as `timed` does on ours.

Each line of the standard input asks for one repetition, and is answered by its seconds. On a GPU the last line tells the
greatest memory of PyTorch's allocator, in bytes.
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
    with torch.device(args.device):
        network = getattr(torchvision.models, args.arch)(num_classes=CLASSES).to(memory_format=args.format)
        images = torch.rand(args.batch, 3, args.size, args.size).contiguous(memory_format=args.format)
        labels = torch.arange(args.batch) % CLASSES
    return network, images, labels


def compiled(network, args):
    return torch.compile(network) if args.compile else network


def step(args):
    network, images, labels = whole(args)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=args.device == "cuda")
    network = compiled(network, args)

    def work():
        with args.autocast():
            loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def forward(args):
    network, images, _ = whole(args)
    network = compiled(network.eval(), args)

    def work():
        with torch.no_grad(), args.autocast():
            network(images)

    return work


def fgsm(args):
    """The signs of the pixels' gradient; the parameters want none."""
    network, images, labels = whole(args)
    network.eval().requires_grad_(False)

    def work():
        x = images.detach().requires_grad_()
        with args.autocast():
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
        x = (images + epsilon * sign * (1 - torch.from_numpy(clean).to(images.device)[:, None])).clamp(0, 1)
        perturbed = cam(x, None)
        return ((clean - perturbed) ** 2).sum((1, 2))

    return work


def audit_on_gpu(args):
    """The same by hand, better than the packages: all on the GPU, one pass for clean map and attack, no gradients of parameters."""
    network, images, labels = whole(args)
    network.eval().requires_grad_(False)
    layer, epsilon, kept = tap(network, args.arch), 0.01, {}
    layer.register_forward_hook(lambda _, __, output: kept.update(activation=output))

    def cam(logits):
        best = logits.gather(1, logits.detach().argmax(1)[:, None]).sum()
        (gradient,) = torch.autograd.grad(best, kept["activation"], retain_graph=True)
        maps = (gradient.mean((2, 3), keepdim=True) * kept["activation"]).sum(1, keepdim=True).detach().float().relu()
        maps = torch.nn.functional.interpolate(maps, images.shape[2:], mode="bilinear")
        maps = maps - maps.amin((1, 2, 3), keepdim=True)
        return maps / (1e-7 + maps.amax((1, 2, 3), keepdim=True))

    def work():
        x = images.detach().requires_grad_()
        with args.autocast():
            logits = network(x)
            clean = cam(logits)
            loss = torch.nn.functional.cross_entropy(logits, labels)
            (gradient,) = torch.autograd.grad(loss, x)
            x = (images + epsilon * gradient.sign() * (1 - clean)).clamp(0, 1).requires_grad_()
            perturbed = cam(network(x))
        return ((clean - perturbed) ** 2).sum((1, 2, 3)).cpu()

    return work


def tap(network, arch):
    """The layer that we explain by default."""
    return {"resnet50": lambda: network.layer4, "mobilenet_v2": lambda: network.features[18],
            "vgg16": lambda: network.features[29]}[arch]()


def explain(args):
    """Maps of the predicted classes by pytorch-grad-cam, attributions by Captum, as they come."""
    import captum.attr
    import pytorch_grad_cam

    network, images, _ = whole(args)
    network.eval()
    pixels = {"gradient": lambda: captum.attr.Saliency(network), "smooth-grad": lambda: captum.attr.NoiseTunnel(
        captum.attr.Saliency(network)), "integrated-gradients": lambda: captum.attr.IntegratedGradients(network)}
    options = {"smooth-grad": {"nt_samples": 50, "nt_samples_batch_size": 2, "stdevs": 0.15},
               "integrated-gradients": {"n_steps": 50, "internal_batch_size": 32}}.get(args.explainer, {})
    if args.explainer in pixels:
        method = pixels[args.explainer]()

        def work():
            with torch.no_grad():
                predicted = network(images).argmax(1)
            x = images.detach().requires_grad_()
            method.attribute(x, target=predicted, **options).abs().sum(1)

        return work
    names = {"grad-cam": "GradCAM", "xgrad-cam": "XGradCAM", "grad-cam++": "GradCAMPlusPlus", "layer-cam": "LayerCAM",
             "hires-cam": "HiResCAM", "eigen-cam": "EigenCAM", "eigen-grad-cam": "EigenGradCAM",
             "ablation-cam": "AblationCAM", "score-cam": "ScoreCAM"}
    cam = getattr(pytorch_grad_cam, names[args.explainer])(network, [tap(network, args.arch)])
    cam.batch_size = 32
    return lambda: cam(images, None)


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


WORK = {"step": step, "forward": forward, "fgsm": fgsm, "audit": audit, "audit-on-gpu": audit_on_gpu, "explain": explain, "conv": conv,
        "conv-backward": conv_backward}


def prepare(args):
    """Settings of the device and the precision: those with which PyTorch is at its best."""
    if args.device == "cpu":
        torch.set_num_threads(os.cpu_count())
        return
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = args.precision != "f32"


def main(words=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=WORK)
    parser.add_argument("--arch")
    parser.add_argument("--explainer")
    for number in ["size", "batch", "channels", "outputs", "kernel", "stride", "groups"]:
        parser.add_argument(f"--{number}", type=int)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--times", type=int, default=1)
    args = parser.parse_args(words)
    args.format = torch.channels_last if args.channels_last else torch.contiguous_format
    half = args.precision == "bf16"
    args.autocast = lambda: torch.autocast(args.device, torch.bfloat16, enabled=half)
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    prepare(args)
    work = WORK[args.work](args)
    if not args.cold:
        work()
    for _ in sys.stdin:
        wait()
        start = time.perf_counter()
        for _ in range(args.times):
            work()
        wait()
        print((time.perf_counter() - start) / args.times, flush=True)
    if args.device == "cuda":
        print(torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    main()
