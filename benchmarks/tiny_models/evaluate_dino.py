"""Score how well guides tell patches of one thing from all others, on scenes with true masks.

In `benchmarks/`, run `python -m tiny_models.evaluate_dino [--scenes 60] [--drawings held-out]
[--first-seed N] [--weights embedded]`.
The score is the area under the ROC curve of cosines of pairs of patches, one of a thing, the other
of the same thing or of anything else; the mean over things. Patches that lie across an edge are
left out. The masks measure; no training reads them.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize
from torchmetrics.functional.classification import binary_auroc

from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.dino.dino import Dino
from ovsskit.embedded import NOUNS
from ovsskit.engine.images import read_image
from ovsskit.engine.values import Image
from ovsskit.stages.attention.token_features import TokenFeatures
from tiny_models.dataset import EVALUATION_SEED, IMAGE_SIZE
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

FACETS: Final = ("token", "query", "key", "value", "query_key")
MIDDLE_BLOCK: Final = 5
"""Of the tiny CLIP, whose keys guide where no other model does."""
WHOLE: Final = 0.75
"""Share of a patch that has to be of one thing, or of none."""
LEAST: Final = 3
"""Patches that a thing has at least."""


def small_image(scene: Scene) -> Image:
    """Return a scene at the size of the tiny models, squeezed to a square."""
    return read_image(scene.image.resize((IMAGE_SIZE, IMAGE_SIZE)))


def separation(vectors: Float[Tensor, "width rows cols"], scene: Scene) -> Iterator[float]:
    """Yield the score of every thing that is large enough."""
    planes = torch.from_numpy(np.stack([scene.things == k for k in range(len(NOUNS) + 1)]))
    shares = adaptive_avg_pool2d(planes.float(), (vectors.shape[1], vectors.shape[2])).flatten(1)
    unit = normalize(vectors.flatten(1), dim=0)
    pure = shares.max(0).values >= WHOLE
    for own in shares[1:] >= WHOLE:
        if own.sum() >= LEAST and (pure & ~own).any():
            yield _area_under_curve(unit[:, own].T @ unit[:, pure], own[pure])


def _area_under_curve(cosines: Float[Tensor, "own pure"], same: Bool[Tensor, " pure"]) -> float:
    """Return the score of the pairs, those of a patch with itself left out."""
    pairs = same.expand_as(cosines)
    itself = torch.zeros_like(pairs)
    itself[:, same] = torch.eye(len(cosines), dtype=torch.bool)
    return float(binary_auroc(cosines[~itself], pairs[~itself].long()))


def score_guides(scenes: Sequence[Scene], weights: str) -> dict[str, float]:
    """Return the mean score, in per cent, of each facet of the tiny DINO, and of the tiny CLIP."""
    images = [small_image(scene) for scene in scenes]
    dino, clip = Dino(weights=weights), Clip(weights="embedded", model="")
    found = {f"the tiny DINO, {facet}": dino.guide(images, facet) for facet in FACETS}
    enlarged = [Image(_twice(image), image.name) for image in images]
    found["the tiny DINO, token, image twice as large"] = dino.guide(enlarged, "token")
    keys = TokenFeatures(layer=MIDDLE_BLOCK, facet="key")
    found["the tiny CLIP, keys of block 5"] = [
        keys.run(hidden, clip) for hidden in clip.hidden(images, [MIDDLE_BLOCK])
    ]
    return {
        name: 100
        * float(
            np.mean(
                [
                    one
                    for some, scene in zip(guides, scenes, strict=True)
                    for one in separation(some.data, scene)
                ]
            )
        )
        for name, guides in found.items()
    }


def _twice(image: Image) -> Tensor:
    return interpolate(image.data[None], scale_factor=2, mode="bilinear")[0]


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--drawings", choices=("training", "held-out"), default="training")
    parser.add_argument("--first-seed", type=int, default=EVALUATION_SEED)
    parser.add_argument("--weights", default="embedded")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenes = evaluation_scenes(asked.scenes, asked.drawings, asked.first_seed)
    for name, score in score_guides(scenes, asked.weights).items():
        print(f"{name}: {score:.1f}")


if __name__ == "__main__":
    main()
