"""The stages on the CPU and on the GPU, in f32, on one model: stages.py BIN [NETWORK …]

Predictions are equal, maps within 1e-3, and the inconsistency E of the same perturbations within 1e-3 for at least 99 % of the
samples. `audit` makes its own: a sign of a gradient that is nearly 0 falls as rounding has it, and what a deep network makes of
other signs is told, not judged.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from safetensors.numpy import load_file

NETWORKS = ["resnet50", "mobilenet_v2", "vgg16"]
DEVICES = {"cpu": ["--device", "cpu"], "cuda": ["--device", "cuda", "--precision", "f32"]}
NEAR, SHARE = 1e-3, 0.99
# Of training the model that both devices explain.
EPOCHS = 15


def run(bin, stage, *words):
    done = subprocess.run([str(word) for word in [bin / stage, *words, "--progress", "none"]], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{stage}: {(done.stderr.strip().splitlines() or [done.returncode])[-1]}")


def stages(bin, data, model, out, device, given=None):
    """All that is made of a model, on a device, with the perturbations that are given or its own."""
    out.mkdir(parents=True, exist_ok=True)
    maps, signs, perturbed, scores, audited = (out / name for name in [
        "maps.safetensors", "signs.safetensors", "perturbed.safetensors", "scores.parquet", "audit.parquet"])
    common, epsilon = ["--data", data, "--model", model, *device], ["--epsilon", 0.01]
    run(bin, "explain", *common, "--output", maps)
    run(bin, "attack", *common, "--output", signs)
    run(bin, "explain", *common, *epsilon, "--maps", maps, "--perturbations", given or signs, "--output", perturbed)
    run(bin, "score", "--clean", maps, "--perturbed", perturbed, "--output", scores)
    run(bin, "audit", *common, *epsilon, "--output", audited)
    return load_file(maps), load_file(signs), parquet.read_table(scores), parquet.read_table(audited)


def column(table, name="inconsistency"):
    """Its values, NaN where there is none."""
    return np.array([np.nan if value is None else value for value in table[name].to_pylist()])


def near(a, b):
    """Of the values that one side has at least: their number, the share within reach, and the greatest difference."""
    some = ~(np.isnan(a) & np.isnan(b))
    apart = np.abs(a - b)[some]
    return some.sum(), (apart <= NEAR).mean() if some.any() else 0, np.nanmax(apart, initial=0)


def compare(bin, folder, network):
    """A line, and what is wrong."""
    data, found, losses = folder / "train.safetensors", {}, {}
    for name, device in DEVICES.items():
        model = folder / network / name / "model.safetensors"
        train = ["--data", data, "--arch", network, "--batch-size", 20, *device, "--output", model]
        run(bin, "train", *train, "--epochs", 2)
        losses[name] = parquet.read_table(model.with_name("training.parquet"))["loss"].to_pylist()[-1]
    # one model for both, that has learnt something: an untrained one makes much of every rounding
    learnt = folder / network / "model.safetensors"
    recipe = ["--epochs", EPOCHS, "--batch-size", 20, "--learning-rate", 3e-4, *DEVICES["cuda"]]
    run(bin, "train", "--data", data, "--arch", network, *recipe, "--output", learnt)
    for name, device in DEVICES.items():
        given = folder / network / "cpu" / "signs.safetensors" if found else None
        found[name] = stages(bin, data, learnt, folder / network / name, device, given)
    (maps, signs, scores, audited), (maps_2, signs_2, scores_2, audited_2) = found["cpu"], found["cuda"]
    equal = (maps["predicted"] == maps_2["predicted"]).mean()
    _, _, worst = near(maps["maps"], maps_2["maps"])
    scored, fused = (near(column(a), column(b)) for a, b in [(scores, scores_2), (audited, audited_2)])
    bits = {name: np.unpackbits(signs[name] ^ signs_2[name]) for name in signs if signs[name].dtype == np.uint8}
    flipped = max((values.mean() for values in bits.values()), default=0)
    wrong = [what for what, bad in {
        "predictions": equal < 1, "maps": not worst <= NEAR, "E": scored[1] < SHARE,
        "loss": not abs(losses["cpu"] - losses["cuda"]) <= 0.05 * losses["cpu"]}.items() if bad]
    line = (f"{network}: predictions {100 * equal:.1f} % equal, maps {worst:.1e} apart, E near for {100 * scored[1]:.1f} % "
            f"(audit {100 * fused[1]:.1f} %) of {scored[0]}, at most {scored[2]:.1e} apart; signs {100 * flipped:.3f} % other; "
            f"loss of the last epoch {losses['cpu']:.4f} and {losses['cuda']:.4f}")
    return line, wrong


def main(bin, *networks):
    bin, failed = Path(bin), False
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        run(bin, "prepare", "--dataset", "shapes", "--count", 400, "--test-count", 10, "--output", folder)
        for network in networks or NETWORKS:
            try:
                line, wrong = compare(bin, folder, network)
            except RuntimeError as error:
                line, wrong = f"{network}: {error}", ["it stopped"]
            failed |= bool(wrong)
            print(f"stages {line}: {'WRONG: ' + ', '.join(wrong) if wrong else 'ok'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
