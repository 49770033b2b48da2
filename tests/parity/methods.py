"""A run's last model in torchvision: the maps of every explainer side by side with pytorch-grad-cam's and Captum's.

    python tests/parity/methods.py runs/shapes [PACK]

PACK (of real images, say) is explained in place of the run's training pack; its classes must be the model's. Prints the
largest difference of each method over 64 images (over few of methods of many passes), maps in [0, 1]; of attributions of
pixels the relative error, against PyTorch in double precision.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from captum.attr import IntegratedGradients, Saliency
from safetensors import safe_open
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from explainers import METHODS, native  # noqa: E402
from live import TAPS  # noqa: E402
from performer import performer  # noqa: E402

DEAR = {"ablation-cam": 1, "score-cam": 1, "integrated-gradients": 4}
COUNT = 64


def part(pack, count, path):
    """The first images of a pack, as a pack."""
    with safe_open(pack, "pt") as f:
        meta = f.metadata()
    tensors = {name: tensor[:count].contiguous() for name, tensor in load_file(pack).items()}
    save_file(tensors, path, metadata={"pack": meta["pack"]})
    return tensors["images"].float() / 255


def attributions(name, model, x, targets):
    """Captum's, as a map of each image in [0, 1]."""
    if name == "gradient":
        found = Saliency(model).attribute(x.clone().requires_grad_(), target=targets, abs=False)
    else:
        found = IntegratedGradients(model).attribute(x, target=targets, n_steps=50, internal_batch_size=len(x))
    found = found.detach().abs().sum(1).double().numpy()
    found = found - found.min((1, 2), keepdims=True)
    return found / (1e-7 + found.max((1, 2), keepdims=True))


def relative(found, exact):
    """The median over the images of the norm of the difference, in units of the norm."""
    norm = np.sqrt((exact**2).sum((1, 2)))
    return np.median(np.sqrt(((found - exact) ** 2).sum((1, 2))) / norm)


def main(run, pack=None):
    last = max((d for d in run.iterdir() if d.name.isdigit()), key=lambda d: int(d.name))
    model = last / "model.safetensors"
    network, about = performer(model)
    network.requires_grad_(True)
    layer = TAPS[about["arch"]](network.network)
    with tempfile.TemporaryDirectory() as folder:
        data, output = Path(folder) / "data.safetensors", Path(folder) / "maps.safetensors"
        for name in [*METHODS, "gradient", "integrated-gradients"]:
            x = part(pack or run / "packs" / "train.safetensors", DEAR.get(name, COUNT), data)
            command = ["target/release/explain", "--data", data, "--model", model, "--explainer", name, "--output", output]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            ours = load_file(output)
            targets, ok = ours["target"].tolist(), (ours["status"] == 0).numpy()
            said = f"{about['arch']} {name}: {ok.sum()} images, "
            maps = ours["maps"].numpy()[ok]
            assert len(maps), f"{said}which leaves nothing to compare: train the model for longer"
            if name in METHODS:
                difference = np.abs(maps - native(name, network, layer, x, False, targets)[ok]).max(initial=0)
                print(f"{said}largest difference {difference:.1e}", flush=True)
                assert difference < 1e-3
            else:
                # f32 moves some values across a kink of ReLU, on either side: both against f64
                exact = attributions(name, network.double(), x.double(), targets)[ok]
                theirs = attributions(name, network.float(), x, targets)[ok]
                error, usual = (relative(found, exact) for found in (maps, theirs))
                print(f"{said}relative error {error:.1e}, PyTorch's {usual:.1e}", flush=True)
                assert error < 1e-3 + 2 * usual


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(Path, sys.argv[2:]))
