"""Score the tiny CLIP: words found per picture, and words found per patch.

Run `python -m ovsskit.embedded.training.evaluate_clip [--scenes 150] [--drawings held-out]`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from ovsskit.embedded import CLASSES, CLIP_FOLDER, NOUNS
from ovsskit.embedded.training import captions
from ovsskit.embedded.training.clip import TinyClip
from ovsskit.embedded.training.clip_folder import read_clip
from ovsskit.embedded.training.dataset import words_of
from ovsskit.embedded.training.evaluate import average_precision, chunks, evaluation_scenes, pixels_of
from ovsskit.embedded.training.scenes import Scene
from ovsskit.embedded.training.tokenizer import build_tokenizer, encode


@dataclass(frozen=True)
class ClipScores:
    """Scores in per cent over things and stuffs."""

    retrieval: float
    noun_retrieval: float
    mean_iou: float
    mean_iou_given: float


@torch.no_grad()
def score_clip(model: TinyClip, scenes: Sequence[Scene]) -> ClipScores:
    """Rank words by picture, and label every patch with its nearest word."""
    words = class_features(model)
    pictures, patches = [], []
    for part in chunks(scenes):
        picture, dense = model.visual(pixels_of(part))
        pictures.append(normalize(picture, dim=-1) @ words.T)
        patches.append(normalize(dense, dim=-1) @ words.T)
    truth = np.stack([words_of(scene) for scene in scenes])
    ranked = torch.cat(pictures).numpy()
    precisions = [average_precision(ranked[:, k], truth[:, k]) for k in range(len(CLASSES))]
    similarity = torch.cat(patches)
    everything = np.ones_like(truth)
    return ClipScores(
        retrieval=100 * float(np.nanmean(precisions)),
        noun_retrieval=100 * float(np.nanmean(precisions[: len(NOUNS)])),
        mean_iou=_mean_iou(similarity, scenes, everything),
        mean_iou_given=_mean_iou(similarity, scenes, truth),
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
) -> float:
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    grid = int(similarity.shape[1] ** 0.5)
    for scores, scene, names in zip(similarity, scenes, allowed, strict=True):
        planes = scores.T.unflatten(1, (grid, grid))[None]
        size = (scene.picture.height, scene.picture.width)
        planes = interpolate(planes, size, mode="bilinear")[0]
        planes[~torch.from_numpy(names)] = -torch.inf
        found = planes.argmax(0).numpy()
        true = np.where(scene.things > 0, scene.things, scene.stuffs + len(NOUNS)).astype(int) - 1
        np.add.at(counts, (true.ravel(), found.ravel()), 1)
    hit = np.diag(counts)
    occurs = counts.sum(1) > 0
    union = counts.sum(0) + counts.sum(1) - hit
    return float(100 * (hit[occurs] / union[occurs]).mean())


def main() -> None:
    """Read the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--drawings", choices=("training", "held-out"), default="training")
    asked = parser.parse_args()
    scores = score_clip(read_clip(CLIP_FOLDER), evaluation_scenes(asked.scenes, asked.drawings))
    print(f"retrieval mAP, 30 words: {scores.retrieval:.1f}; nouns only: {scores.noun_retrieval:.1f}")
    print(f"mean IoU, q-q + k-k, 30 words: {scores.mean_iou:.1f}; among words present: {scores.mean_iou_given:.1f}")


if __name__ == "__main__":
    main()
