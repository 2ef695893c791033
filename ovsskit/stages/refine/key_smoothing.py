"""Let patches that are unsure follow those with like keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Hidden, Logits


class KeySmoothing(Stage, writes="scores"):
    """Replace unsure patches' probabilities by sums over all patches, weighted by key similarity.

    Probabilities are the softmax over all texts of the scaled scores. Keys are those of the last
    block that was kept, heads put together and projected as the block projects what it gathers;
    each of their channels is made unit length over the patches, and the weights of a patch do not
    sum to 1, so that sums are on another scale than the probabilities of sure patches. Maps of
    another grid than the patches' are resized to it first.
    Source: MaskCLIP, released code (`ks_thresh`, off by default; 1 in its configurations for
    MaskCLIP+, which spares only patches whose probability rounds to 1).

    Example:
        [[stage]]
        use = "key_smoothing"
        below = 0.9
    """

    scale: Annotated[
        float, Field(gt=0, description="what scores are multiplied by before the softmax")
    ] = 100.0
    below: Annotated[
        float,
        Field(
            ge=0, le=1, description="a patch whose best text is less probable than this is unsure"
        ),
    ] = 1.0

    def run(self, scores: Logits, hidden: Hidden, backbone: EncodesPatches) -> Logits:
        """Return one map per text, over the patches."""
        maps = scores.data.float()
        if tuple(maps.shape[1:]) != hidden.grid:
            maps = torch.nn.functional.interpolate(maps[None], hidden.grid, mode="bilinear")[0]
        layer = hidden.layers[-1]
        keys = backbone.join_heads(layer, backbone.project(hidden, layer)[1])
        keys = keys[hidden.others :].float()
        keys = torch.nn.functional.normalize(keys, dim=0)
        sure = (maps * self.scale).softmax(0)
        summed = ((sure.flatten(1) @ keys) @ keys.T).view_as(sure)
        found = torch.where(sure.amax(0) < self.below, summed, sure)
        return scores.with_data(found.to(scores.data.dtype))
