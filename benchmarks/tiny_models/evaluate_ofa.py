"""Score the tiny OFA, untuned and tuned for lists of classes, on scenes that no training has seen.

    python -m tiny_models.evaluate_ofa [--scenes 150] [--drawings held-out] [--tune FOLDER]

Without `--tune` only the weights in the package are scored; with it the model is tuned for the two
shorter lists as `ovsskit fit` does, into folders there, once.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from ovsskit.backbones.ofa.ofa import Ofa
from ovsskit.cli.fit_report import FitReport
from ovsskit.embedded.names import CLASSES, NOUNS, STUFFS
from ovsskit.engine.images import read_image
from ovsskit.engine.values import Image, Logits
from ovsskit.fit.in_python import run_fit
from ovsskit.ops.metrics import mean_iou_of_true_classes
from ovsskit.recipe.build import load_recipe
from ovsskit.stages.maps.softmax import Softmax
from ovsskit.stages.refine.knn_smoothing import KnnSmoothing
from tiny_models.drawings import DrawingSet
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

RECIPE: Final = "ifseg_tiny"
LISTS: Final = {"list A": (*NOUNS[0:24:3], *STUFFS), "list B": (*NOUNS[1:24:3], *STUFFS)}
"""Eight things and all stuffs; only the stuffs are in both. Pixels of things that are not in a list
are not scored.
"""
WAYS: Final = ("word-patch similarity, untuned", "tuned", "+ smoothing 3 x 5", "+ smoothing 3 x 25")

Maps = Float[Tensor, "class rows cols"]


def truth(scene: Scene, names: Sequence[str]) -> Int[ndarray, "h w"]:
    """Return the place of every pixel's class in a list, and -1 where it is in none."""
    place = np.array([-1, *(names.index(name) if name in names else -1 for name in CLASSES)])
    stuffs = np.where(scene.stuffs > 0, scene.stuffs.astype(int) + len(NOUNS), 0)
    return np.asarray(place[np.where(scene.things > 0, scene.things.astype(int), stuffs)])


def similarity(backbone: Ofa, image: Image, names: Sequence[str]) -> Maps:
    """Return how alike projected patches and words are after pretraining, by no transformer."""
    network = backbone.network
    features = backbone.trunk_features([image])[0].data
    with torch.no_grad():
        patches = normalize(network.encoder.project(features[None])[0], dim=1)
        words = normalize(network.words([backbone.reader.pieces(name) for name in names]), dim=1)
    found: Tensor = (words @ patches.T).unflatten(1, features.shape[1:])
    return found


def smoothed(logits: Maps, backbone: Ofa, image: Image, rounds: int) -> Maps:
    """Return probabilities, averaged over the nearest neighbours."""
    scores = Softmax().run(Logits(logits, tuple(range(1, 1 + len(logits)))))
    return KnnSmoothing(rounds=rounds).run(scores, backbone.trunk_features([image])[0]).data


def all_ways(image: Image, names: Sequence[str], untuned: Ofa, tuned: Ofa) -> list[Maps]:
    """Return the maps of every way, in the order of `WAYS`."""
    [logits] = tuned.decode_patches([image], [tuple(names)])
    return [
        similarity(untuned, image, names),
        logits,
        *(smoothed(logits, tuned, image, rounds) for rounds in (5, 25)),
    ]


def score(
    scenes: Sequence[Scene], names: Sequence[str], ways: Callable[[Image], Sequence[Maps]]
) -> list[float]:
    """Return the mean IoU of every way, over the classes that occur, in per cent."""
    counts: list[ndarray] = []
    for scene in scenes:
        image, true = read_image(scene.image), truth(scene, names)
        known = true >= 0
        found = [
            interpolate(maps[None], image.size, mode="bilinear")[0].argmax(0).numpy()
            for maps in ways(image)
        ]
        counts = counts or [np.zeros((len(names), len(names)), np.int64) for _ in found]
        for one, labels in zip(counts, found, strict=True):
            one += np.bincount(
                true[known] * len(names) + labels[known], minlength=one.size
            ).reshape(one.shape)
    return [100 * mean_iou_of_true_classes(torch.from_numpy(one)) for one in counts]


def tune(names: Sequence[str], folder: Path, *overrides: str) -> Ofa:
    """Tune the tiny model for a list as `ovsskit fit` does, unless the folder holds that."""
    with FitReport(quiet=False, recipe=RECIPE) as report:
        run_fit(RECIPE, *overrides, classes=names, out=folder, device="cpu", callbacks=report)
    return tiny(str(folder))


def tiny(weights: str = "") -> Ofa:
    """Return the recipe's model, with other weights if any are given."""
    model = load_recipe(RECIPE, [f"backbone.weights={weights}"] if weights else []).plan.models[
        "backbone"
    ]
    assert isinstance(model, Ofa)
    return model


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--drawings", choices=("training", "held-out"), default="training")
    parser.add_argument(
        "--tune", type=Path, help="where to tune for the shorter lists, or where that was done"
    )
    asked = parser.parse_args()
    drawing_set: DrawingSet = asked.drawings
    scenes = evaluation_scenes(asked.scenes, drawing_set)
    lists = {"all 30": (CLASSES, tiny())}
    if asked.tune:
        lists |= {
            name: (names, tune(names, asked.tune / name.replace(" ", "_")))
            for name, names in LISTS.items()
        }
    untuned = tiny("embedded")
    print(f"mIoU on {len(scenes)} scenes, {drawing_set} drawings")
    for name, (names, tuned) in lists.items():
        found = score(scenes, names, lambda image: all_ways(image, names, untuned, tuned))  # noqa: B023 - called at once
        print(
            f"{name} ({len(names)} classes)",
            *(f"{way} {value:.1f}" for way, value in zip(WAYS, found, strict=True)),
            sep="\n  ",
        )


if __name__ == "__main__":
    main()
