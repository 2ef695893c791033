"""Derive an image's scores by the channels of the patches that enter a block."""

from __future__ import annotations

from typing import Any, NamedTuple

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._last_block import LastBlock
from ovsskit.engine.model.explains_patches import Score

AT_ONCE = 8
"""How many scores are derived together; each takes the memory of the tokens a few times."""


class Derived(NamedTuple):
    """Hold a block's normalised tokens, the image's scores, and their mean gradients in patches."""

    channels: Float[torch.Tensor, "token width"]
    scores: Float[torch.Tensor, " score"]
    gradients: Float[torch.Tensor, "score width"]


def explain(
    visual: Any,
    tokens: Float[torch.Tensor, "token width"],
    layer: int,
    score: Score,
    precision: float = 1.0,
) -> Derived:
    """Run the blocks from one on, score the mean of the patches among the texts, and go back.

    Scores are multiplied by `precision` on the way back, so that half precision holds what is
    small.
    """
    first, *others = vision.blocks_of(visual)[layer - 1 :]
    if others:
        return _by_autograd(visual, tokens, layer, score, precision)
    with torch.no_grad():
        last = LastBlock(visual, first, tokens)
        scores, slopes = slopes_of(score, last.vector, precision)
        found = [last.mean_gradients(some) for some in slopes.split(AT_ONCE)]
    return Derived(last.channels.float(), scores, torch.cat(found) / precision)


def slopes_of(
    score: Score, vector: Float[torch.Tensor, " out"], precision: float
) -> tuple[Float[torch.Tensor, " score"], Float[torch.Tensor, "score out"]]:
    """Return the scores of a vector, and the gradient of each in it, times `precision`."""
    with torch.enable_grad():
        leaf = vector.detach().requires_grad_()
        scores = score(leaf)
        rows = [torch.autograd.grad(one * precision, leaf, retain_graph=True)[0] for one in scores]
    return scores.detach(), torch.stack(rows)


def _by_autograd(
    visual: Any,
    tokens: Float[torch.Tensor, "token width"],
    layer: int,
    score: Score,
    precision: float,
) -> Derived:
    first, *others = vision.blocks_of(visual)[layer - 1 :]
    with torch.enable_grad():
        start = tokens.clone()
        channels = first.ln_1(start).requires_grad_()
        left = vision.attend_as_trained(first, start, vision.project_channels(first, channels))
        for block in others:
            left = vision.attend_as_trained(block, left, vision.project(block, left))
        scores = score(vision.project_to_text(visual, left)[1:].float().mean(0))
        rows = [
            torch.autograd.grad(one * precision, channels, retain_graph=True)[0][1:].float().mean(0)
            for one in scores
        ]
    return Derived(channels.detach().float(), scores.detach(), torch.stack(rows) / precision)
