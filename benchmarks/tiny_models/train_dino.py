"""Train the tiny DINO on images alone: views agree on their image, and hidden patches are guessed.

The losses are those of DINO (Caron et al. 2021, small views agree with large ones) and of iBOT
(Zhou et al. 2022, hidden patches). The teacher's answers are balanced over the prototypes as in
SwAV (Caron et al. 2020), in place of centring. No word and no mask is read.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from tiny_models.dataset import Dataset
from tiny_models.dino import PATCH, SIDE, TinyDino
from tiny_models.hiding import choose_patches
from tiny_models.loop import Losses, Schedule, train
from tiny_models.views import cut_views

PARTS_SIDE: Final = 40
"""Side of the views of small parts, in pixels."""
WHOLE_AREAS: Final = (0.25, 1.0)
PARTS_AREAS: Final = (0.05, 0.3)
"""Shares of the image that views show."""
TEACHER_TEMPERATURE: Final = 0.05
PUPIL_TEMPERATURE: Final = 0.1
BALANCING_ROUNDS: Final = 3
UNTOUCHED: Final = 0.3
"""Share of views of which nothing is hidden."""


@dataclass(frozen=True)
class DinoPlan:
    """Say how long to train, on how many images at once, in how many small views of each."""

    schedule: Schedule
    batch: int = 32
    parts: int = 3
    first_momentum: float = 0.98


def train_dino(
    plain: Dataset, styles: Dataset, plan: DinoPlan, checkpoint: Path, seed: int
) -> VisionTransformer:
    """Train from random numbers, or go on from the checkpoint; return the teacher."""
    torch.manual_seed(seed)
    model = TinyDino()

    def losses_of(step: int) -> Losses:
        done = step / plan.schedule.steps
        model.follow(1 - (1 - plan.first_momentum) * (1 + math.cos(math.pi * done)) / 2)
        rng = np.random.default_rng([seed, step])
        half = plan.batch // 2
        drawn = [plain.draw_bytes(rng, half), styles.draw_bytes(rng, plan.batch - half)]
        return dino_losses(model, np.concatenate([images for images, _ in drawn]), rng, plan.parts)

    train(model, losses_of, plan.schedule, checkpoint)
    return model.teacher.vision.eval()


def dino_losses(
    model: TinyDino, images: np.ndarray, rng: np.random.Generator, parts: int
) -> Losses:
    """Compare all views with the teacher's large ones, and hidden patches with seen ones."""
    twice, often = (np.concatenate([images] * count) for count in (2, parts))
    whole = cut_views(rng, twice, SIDE, WHOLE_AREAS)
    small = cut_views(rng, often, PARTS_SIDE, PARTS_AREAS)
    grid = SIDE // PATCH
    hidden = torch.from_numpy(
        np.stack([choose_patches(rng, grid, UNTOUCHED, grid * grid // 2) for _ in whole])
    )
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            known = model.teacher(whole)
            taught, shown = (
                balance(model.teacher.head(one))
                for one in (known[:, 0], known[:, 1:][hidden.flatten(1)])
            )
        seen = model.pupil(whole, hidden)
        guessed = model.pupil.head(seen[:, 1:][hidden.flatten(1)])
        views = [*model.pupil.head(seen[:, 0]).chunk(2)]
        views += model.pupil.head(model.pupil(small)[:, 0]).chunk(parts)
    pairs = [
        _disagreement(view, answer)
        for number, view in enumerate(views)
        for other, answer in enumerate(taught.chunk(2))
        if number != other
    ]
    return {"views": torch.stack(pairs).mean(), "hidden": _disagreement(guessed, shown)}


def balance(
    cosines: Float[Tensor, "token prototype"],
) -> Float[Tensor, "token prototype"]:
    """Return the teacher's answers, in which every prototype is given about as often (Sinkhorn)."""
    shares = (cosines.float() / TEACHER_TEMPERATURE).softmax(1)
    for _ in range(BALANCING_ROUNDS):
        shares = shares / shares.sum(0, keepdim=True)
        shares = shares / shares.sum(1, keepdim=True)
    return shares


def _disagreement(
    cosines: Float[Tensor, "token prototype"], answers: Float[Tensor, "token prototype"]
) -> Float[Tensor, ""]:
    return -(answers * (cosines.float() / PUPIL_TEMPERATURE).log_softmax(1)).sum(1).mean()
