"""The values of what text tokens look at: attention, and maps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.examples import GRID, HEADS, LAYERS, PATCH_TOKENS, uniform
from ovsskit.engine.sending import pick
from ovsskit.engine.values.spatial import Spatial

PROMPT, END, PADDING = -1, -2, -3
"""Marks, in `positions`, of tokens that name no class: of the prompt, the end, and padding."""


@dataclass(frozen=True, eq=False)
class CrossAttention(Spatial):
    """Hold what text tokens look at: probabilities, and the matching objective's gradient in them.

    The last rows x cols columns of the key axis are the patches, row by row; a class token may
    stand before them. `layers` count from 1, `heads` from 0. `positions` tells which class a token
    belongs to (see `Present`), or is `PROMPT`, `END` or `PADDING`. The tokens of several captions
    follow each other; `lengths` are their counts.
    """

    probability: Float[torch.Tensor, "layer head token key"]
    gradient: Float[torch.Tensor, "layer head token key"]
    positions: Int[torch.Tensor, " token"]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    grid: tuple[int, int]
    lengths: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> CrossAttention:
        """Return random attention of seven tokens in all layers and heads."""
        probability = uniform(seed + 1, LAYERS, HEADS, 7, PATCH_TOKENS).softmax(-1)
        return cls(
            probability,
            uniform(seed + 3, *probability.shape) - 0.5,
            torch.tensor([PROMPT, PROMPT, 0, 1, 1, 2, END]),
            tuple(range(1, LAYERS + 1)),
            tuple(range(HEADS)),
            GRID,
            (7,),
        )

    def pick(self, layers: tuple[int, ...], heads: tuple[int, ...]) -> CrossAttention:
        """Return what these layers and heads hold."""
        rows, columns = (
            [self.layers.index(layer) for layer in layers],
            [self.heads.index(head) for head in heads],
        )
        probability, gradient = (
            pick(pick(tensor, rows), columns, 1) for tensor in (self.probability, self.gradient)
        )
        return replace(self, probability=probability, gradient=gradient, layers=layers, heads=heads)

    def maps(self, weights: Float[torch.Tensor, "layer head token key"]) -> TokenMaps:
        """Return weights as maps of tokens over the patches, summed over layers and heads.

        The first token of each caption is left out, and maps of padding are zero.
        """
        rows, columns = self.grid
        summed = weights.sum((0, 1))[:, -rows * columns :]
        summed = summed * (self.positions != PADDING)[:, None]
        starts = {sum(self.lengths[:index]) for index in range(len(self.lengths))}
        kept = [token for token in range(len(self.positions)) if token not in starts]
        lengths = tuple(length - 1 for length in self.lengths)
        maps = pick(summed, kept).unflatten(1, (rows, columns))
        return TokenMaps(maps, pick(self.positions, kept), lengths)


@dataclass(frozen=True, eq=False)
class TokenMaps(Spatial):
    """Hold one map over the patches for every text token, first token of each caption removed."""

    data: Float[torch.Tensor, "token rows cols"]
    positions: Int[torch.Tensor, " token"]
    lengths: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> TokenMaps:
        """Return random maps of the tokens of the example attention, but for the first."""
        return cls(uniform(seed, 6, *GRID), torch.tensor([PROMPT, 0, 1, 1, 2, END]), (6,))
