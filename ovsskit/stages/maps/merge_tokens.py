"""Merge the maps of a class's tokens into one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Present, Saliency, TokenMaps


class MergeTokens(Stage, writes="scores"):
    """Merge the maps of the tokens that name a class; a class without a token gets a map of zeros.

    An image that shows no class has one map, of the background: every place is.

    Tokens belong to a class by the characters they stand for, so that names of several words work.
    Source: PnP-OVSS, released code, which takes the mean, but for the last class of the caption the
    sum.

    Example:
        [[stage]]
        use = "merge_tokens"
        pieces = "mean"
    """

    waits: ClassVar[str] = "the places of a class's tokens say which maps are merged"

    pieces: Annotated[
        Literal["mean", "released"],
        Field(description="mean of a class's tokens; `released`: the last class's are summed"),
    ] = "mean"

    def run(self, token_maps: TokenMaps, present: Present) -> Saliency:
        """Return one map per present class, in their order, or a background map (label 0)."""
        if not present.labels:
            return Saliency(token_maps.data.new_ones(1, *token_maps.data.shape[1:]), (0,))
        maps = token_maps.data.new_zeros(len(present.labels), *token_maps.data.shape[1:])
        positions = token_maps.positions.tolist()
        for position in range(len(present.labels)):
            mine = pick(
                token_maps.data, [row for row, place in enumerate(positions) if place == position]
            )
            if len(mine):
                is_summed = self.pieces == "released" and position == len(present.labels) - 1
                maps[position] = mine.sum(0) if is_summed else torch.mean(mine, 0)
        return Saliency(maps, present.labels)
