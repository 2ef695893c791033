"""Train the tiny OFA's trunk and words: patches learn to point at true words of their image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from ovsskit.backbones.ofa._network import OfaNetwork
from ovsskit.backbones.ofa._trunk import STRIDE
from tiny_models.dataset import Dataset
from tiny_models.loop import Losses, Schedule, train
from tiny_models.ofa import SIDE, begin_ofa, class_pieces

SCALE: Final = 10.0
"""Cosines are multiplied by this before the softmax over the words."""
BEST_PATCHES: Final = 3
NORM_WEIGHT: Final = 0.02


@dataclass(frozen=True)
class OfaPlan:
    """Say how long to train, on how many images at once, and the share with changed drawings."""

    schedule: Schedule
    batch: int = 32
    varied: float = 0.5


class Pointing(nn.Module):
    """Hold what pretraining changes: the trunk, its projection, and the embeddings of words."""

    def __init__(self, network: OfaNetwork) -> None:
        super().__init__()
        encoder = network.encoder
        self.trunk, self.project, self.table = (
            encoder.embed_images,
            encoder.image_proj,
            encoder.embed_tokens,
        )
        self.pieces = class_pieces()

    def forward(
        self, pixels: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "word d"]]:
        """Return the projected patches, and the mean embedding of every word's pieces."""
        patches = self.project(self.trunk(pixels).flatten(2).transpose(1, 2))
        return patches.float(), torch.stack([self.table.weight[one].mean(0) for one in self.pieces])

    def shorten(self) -> None:
        """Bring words and projected patches from the root of their width to length 1.

        What tuning learns from longer ones are steep logits, and maps that are worse than untuned
        ones.
        """
        with torch.no_grad():
            for one in (self.table.weight, self.project.weight, self.project.bias):
                one.mul_(self.table.embedding_dim**-0.5)


def train_ofa(
    plain: Dataset, varied: Dataset, plan: OfaPlan, checkpoint: Path, seed: int
) -> OfaNetwork:
    """Train from random numbers, or go on from the checkpoint.

    The transformer stays as it begins.
    """
    network = begin_ofa(seed)
    model = Pointing(network).train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast

    def losses_of(step: int) -> Losses:
        rng = np.random.default_rng([seed, step])
        count = round(plan.batch * plan.varied)
        drawn = [plain.draw_bytes(rng, plan.batch - count), varied.draw_bytes(rng, count)]
        pixels = to_ofa(np.concatenate([images for images, _ in drawn]))
        visible = torch.from_numpy(np.concatenate([words for _, words in drawn]))
        with torch.autocast("cpu", torch.bfloat16):
            patches, words = model(pixels)
        return pointing_losses(patches, words, visible)

    train(model, losses_of, plan.schedule, checkpoint)
    model.shorten()
    return network.eval()


def to_ofa(images: UInt8[ndarray, "b h w 3"]) -> Float[Tensor, "b 3 side side"]:
    """Enlarge and scale bytes the way the tiny OFA expects them."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    return interpolate(pixels, (SIDE * STRIDE, SIDE * STRIDE), mode="bilinear")


def pointing_losses(
    patches: Float[Tensor, "b n d"], words: Float[Tensor, "word d"], visible: Bool[Tensor, "b word"]
) -> Losses:
    """Return three losses that know only which words are true of which image.

    Candidates: every patch is one of the true words. Instances: every true word has a few patches.
    Norms: patches and words are about as long as a vector of unit numbers, so that words can stand
    in for patches.
    """
    known = (SCALE * normalize(patches, dim=2) @ normalize(words, dim=1).T).log_softmax(2)
    true = known.masked_fill(~visible[:, None], -torch.inf)
    candidates = -true.logsumexp(2).mean()
    best = known.topk(BEST_PATCHES, 1).values.mean(1)
    length = words.shape[1] ** 0.5
    off = [(vectors.norm(dim=-1) / length - 1).square().mean() for vectors in (patches, words)]
    return {
        "candidates": candidates,
        "instances": -best[visible].mean(),
        "norms": NORM_WEIGHT * (off[0] + off[1]),
    }
