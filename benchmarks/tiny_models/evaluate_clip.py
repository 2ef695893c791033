"""Score the tiny CLIP: words found per image, and words found per patch.

In `benchmarks/`, run `python -m tiny_models.evaluate_clip [--scenes 150] [--drawings held-out]
[--first-seed N]`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from ovsskit.embedded import CLASSES, CLIP_FOLDER, NOUNS
from ovsskit.engine.images import read_image
from ovsskit.engine.values import Saliency
from ovsskit.ops.metrics import mean_iou_of_true_classes
from ovsskit.stages.refine.pamr import Pamr
from tiny_models import captions
from tiny_models.clip import TinyClip
from tiny_models.clip_folder import read_clip
from tiny_models.dataset import EVALUATION_SEED, IMAGE_SIZE, words_of
from tiny_models.evaluate import (
    average_precision,
    chunks,
    evaluation_scenes,
    pixels_of,
)
from tiny_models.scenes import Scene
from tiny_models.tokenizer import build_tokenizer, encode

PATHS: Final = {
    "dense": "q-q + k-k, no last residual",
    "dense_with_residual": "q-q + k-k, last residual kept",
    "plain": "q-k, the whole last block",
}
REFINEMENT: Final = Pamr(dilations=(2, 4))


@dataclass(frozen=True)
class ClipScores:
    """Hold scores in per cent over things and stuffs.

    Candidates are all 30 words, or those present; a further score is refined by PAMR.
    """

    retrieval: float
    noun_retrieval: float
    miou: dict[str, float]
    miou_given: dict[str, float]
    miou_refined: dict[str, float]


@torch.no_grad()
def score_clip(model: TinyClip, scenes: Sequence[Scene]) -> ClipScores:
    """Rank words by image, and label every patch with its nearest word, on every path."""
    words = class_features(model)
    seen = [model.visual(pixels_of(part)) for part in chunks(scenes)]
    truth = np.stack([words_of(scene) for scene in scenes])
    ranked = torch.cat([normalize(one.image, dim=-1) @ words.T for one in seen]).numpy()
    precisions = [average_precision(ranked[:, k], truth[:, k]) for k in range(len(CLASSES))]
    similarity = {
        path: torch.cat([normalize(getattr(one, path), dim=-1) @ words.T for one in seen])
        for path in PATHS
    }
    everything = np.ones_like(truth)
    return ClipScores(
        retrieval=100 * float(np.nanmean(precisions)),
        noun_retrieval=100 * float(np.nanmean(precisions[: len(NOUNS)])),
        miou={path: _mean_iou(found, scenes, everything) for path, found in similarity.items()},
        miou_given={path: _mean_iou(found, scenes, truth) for path, found in similarity.items()},
        miou_refined={
            path: _mean_iou(found, scenes, everything, REFINEMENT)
            for path, found in similarity.items()
        },
    )


def class_features(model: TinyClip) -> Float[Tensor, "classes d"]:
    """Average the text features of a few templates for each class."""
    tokenizer = build_tokenizer(with_blip_tokens=False)
    features = []
    for name in CLASSES:
        ids, _ = encode(tokenizer, [template.format(name) for template in captions.SINGLE])
        features.append(normalize(model.encode_text(ids), dim=-1).mean(0))
    return normalize(torch.stack(features), dim=-1)


def _mean_iou(
    similarity: Float[Tensor, "scenes patches classes"],
    scenes: Sequence[Scene],
    allowed: np.ndarray,
    refinement: Pamr | None = None,
) -> float:
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    grid = int(similarity.shape[1] ** 0.5)
    for scores, scene, names in zip(similarity, scenes, allowed, strict=True):
        planes = scores.T.unflatten(1, (grid, grid))
        if refinement is not None:
            enlarged = interpolate(planes[None], (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear")[0]
            saliency = Saliency(enlarged, tuple(range(1, len(CLASSES) + 1)))
            planes = refinement.run(saliency, read_image(scene.image)).data
        size = (scene.image.height, scene.image.width)
        planes = interpolate(planes[None], size, mode="bilinear")[0]
        planes[~torch.from_numpy(names)] = -torch.inf
        found = planes.argmax(0).numpy()
        true = np.where(scene.things > 0, scene.things, scene.stuffs + len(NOUNS)).astype(int) - 1
        np.add.at(counts, (true.ravel(), found.ravel()), 1)
    return 100 * mean_iou_of_true_classes(torch.from_numpy(counts))


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--drawings", choices=("training", "held-out"), default="training")
    parser.add_argument(
        "--first-seed", type=int, default=EVALUATION_SEED, help="seed of the first scene"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    scenes = evaluation_scenes(asked.scenes, asked.drawings, asked.first_seed)
    scores = score_clip(read_clip(CLIP_FOLDER), scenes)
    print(
        f"retrieval mAP, 30 words: {scores.retrieval:.1f}; nouns only: {scores.noun_retrieval:.1f}"
    )
    for path, words in PATHS.items():
        alone, refined, given = (
            scores.miou[path],
            scores.miou_refined[path],
            scores.miou_given[path],
        )
        print(
            f"mean IoU, {words}: {alone:.1f}; with PAMR {refined:.1f}; among words present "
            f"{given:.1f}"
        )


if __name__ == "__main__":
    main()
