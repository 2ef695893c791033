"""A backbone and stages without weights, with which stages and wrappers are tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.model import (
    Backbone,
    CrossAttends,
    DecodesPatches,
    EncodesImageAndText,
    EncodesPatches,
    MatchesText,
    Objective,
)
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import (
    END,
    PROMPT,
    Attention,
    Caption,
    Captions,
    CrossAttention,
    Hidden,
    Image,
    Labels,
    PatchFeatures,
    Saliency,
    TokenMaps,
)
from ovsskit.testing.examples import GRID, HEADS, LAYERS, WIDTH, example

TOY_HEADS = 2
"""Heads of the toy's image encoder."""


class ToyBackbone(
    Backbone, CrossAttends, MatchesText, EncodesImageAndText, EncodesPatches, DecodesPatches
):
    """Attend by brightness instead of by a network, so that stages can be tested without weights."""

    weights: Annotated[str, Field(description="there are none")] = "none"

    def load(self) -> Any:
        """Return an empty network."""
        return torch.nn.Identity()

    def need_weights(self) -> Path:
        """Return this file: what the toy does stands here."""
        return Path(__file__)

    def count_tokens(self, text: str) -> int:
        """Count words and the two special tokens."""
        return len(text.split()) + 2

    @property
    def token_limit(self) -> int:
        """Return a limit that an example caption does not reach."""
        return 12

    @property
    def layer_count(self) -> int:
        """Return the number of layers of the examples."""
        return LAYERS

    @property
    def grid(self) -> tuple[int, int]:
        """Return the grid of the examples."""
        return GRID

    def cross_attention(
        self,
        images: Sequence[Image],
        captions: Sequence[Captions],
        *,
        layers: Sequence[int] | None,
        objective: Objective,
        pad_to: int,
    ) -> list[CrossAttention]:
        """Let every token look at bright patches, each token and head in its own way."""
        return [
            self._attend(image, caption, tuple(layers or range(1, LAYERS + 1)))
            for image, caption in zip(images, captions, strict=True)
        ]

    def match(self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]) -> list[Any]:
        """Score a caption by the brightness of the image and the letters of the caption."""
        pairs = zip(images, captions, strict=True)
        return [
            i.data.new_tensor([(float(i.data.mean()) * len(c.text)) % 1 for c in mine])
            for i, mine in pairs
        ]

    def encode_text(self, texts: Sequence[str]) -> Any:
        """Make a vector of the letters of a text."""
        places = torch.arange(1, WIDTH + 1, device=self._device)
        return torch.stack([(places * sum(map(ord, text)) * 0.37).sin() for text in texts])

    def encode_image(self, images: Sequence[Image]) -> Any:
        """Make a vector of the brightness of an image."""
        places = torch.arange(1, WIDTH + 1, device=self._device)
        return torch.stack([(places * image.data.mean() * 7).cos() for image in images])

    @property
    def block_count(self) -> int:
        """Return the number of blocks of the examples."""
        return LAYERS

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Make tokens of the brightness of patches, in every block another way."""
        return [self._hide(image, tuple(layers)) for image in images]

    def _hide(self, image: Image, layers: tuple[int, ...]) -> Hidden:
        bright = torch.nn.functional.adaptive_avg_pool2d(image.data.mean(0)[None], GRID)[
            0
        ].flatten()
        tokens = (
            torch.cat([bright.mean(0, keepdim=True), bright])[:, None]
            * torch.arange(1, WIDTH + 1, device=self._device)
            * 5
        )
        return Hidden(torch.stack([(tokens * layer).sin() for layer in layers]), layers, GRID)

    def project(self, hidden: Hidden, layer: int) -> tuple[Any, Any, Any]:
        """Turn a block's tokens into queries, keys and values, each in another way."""
        split = hidden.entering(layer).unflatten(1, (TOY_HEADS, -1)).transpose(0, 1)
        return split, split.roll(1, -1), split.flip(-1)

    def join_heads(self, layer: int, vectors: Any) -> Any:
        """Put the heads' vectors together, and turn them, in every block another way."""
        return vectors.transpose(0, 1).flatten(1).roll(layer, -1)

    def norms(self, hidden: Hidden, layer: int) -> Any:
        """Return the lengths of a block's tokens."""
        return hidden.entering(layer).norm(dim=-1)

    def finish(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> PatchFeatures:
        """Add up attended values; the toy's second half is a sine."""
        total = hidden.entering(attention.layers[0]) * residual
        for layer, weights in zip(attention.layers, attention.data, strict=True):
            total = total + (weights @ self.project(hidden, layer)[2]).transpose(0, 1).flatten(1)
        total = total + total.sin() * feed_forward
        return PatchFeatures(total[1:].T.unflatten(1, hidden.grid).contiguous())

    def decode_patches(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[Any]:
        """Score a class by the brightness of a patch and the letters of the name."""
        waves = [
            torch.tensor([sum(map(ord, name)) % 13 + 1.0 for name in mine], device=self._device)[
                :, None, None
            ]
            for mine in names
        ]
        bright = [
            torch.nn.functional.adaptive_avg_pool2d(image.data.mean(0)[None], GRID)
            for image in images
        ]
        return [(wave * one * 5).sin() for wave, one in zip(waves, bright, strict=True)]

    def trunk_features(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Make features of the brightness of patches."""
        waves = torch.arange(1.0, WIDTH + 1, device=self._device)[:, None, None] * 5
        bright = [
            torch.nn.functional.adaptive_avg_pool2d(image.data.mean(0)[None], GRID)
            for image in images
        ]
        return [PatchFeatures((waves * one).sin()) for one in bright]

    def _attend(self, image: Image, captions: Captions, layers: tuple[int, ...]) -> CrossAttention:
        bright = torch.nn.functional.adaptive_avg_pool2d(image.data.mean(0)[None], GRID)[0]
        bright = bright if image.hidden is None else bright.masked_fill(image.hidden, 0)
        positions = [mark for caption in captions.captions for mark in self._positions(caption)]
        token = torch.arange(1, len(positions) + 1, device=self._device)[None, None, :, None]
        slope = (
            token
            * torch.tensor(layers, device=self._device)[:, None, None, None]
            * torch.arange(1, HEADS + 1, device=self._device)[None, :, None, None]
        )
        look = (bright.flatten()[None, None, None] * slope.float() * 7).sin()
        padded = torch.nn.functional.pad(look, (1, 0))
        lengths = tuple(len(self._positions(caption)) for caption in captions.captions)
        return CrossAttention(
            padded.softmax(-1),
            padded.cos(),
            torch.tensor(positions, device=self._device),
            layers,
            tuple(range(HEADS)),
            GRID,
            lengths,
        )

    def _positions(self, caption: Caption) -> list[int]:
        marks, at = [PROMPT], 0
        for word in caption.text.split():
            start = caption.text.index(word, at)
            at = start + len(word)
            inside = [span.position for span in caption.spans if span.start <= start < span.end]
            marks.append(inside[0] if inside else PROMPT)
        return [*marks, END]


class ToyTokenMaps(Stage, writes="token_maps"):
    """Write token maps that follow from the image and its hidden patches alone."""

    def run(self, image: Image) -> TokenMaps:
        """Return one map per token of the example caption."""
        bright = torch.nn.functional.adaptive_avg_pool2d(image.data.mean(0)[None], GRID)
        bright = bright if image.hidden is None else bright.masked_fill(image.hidden, 0)
        token = torch.arange(1.0, 7.0, device=bright.device)[:, None, None]
        positions = example(TokenMaps).positions.to(bright.device)
        return TokenMaps((bright * token * 5).sin().abs(), positions, (6,))


class ToyScores(Stage, writes="scores"):
    """Write scores that follow from the image alone."""

    def run(self, image: Image) -> Saliency:
        """Return one map per colour channel."""
        return Saliency(image.data.clone(), (1, 2, 3))


class ToyLabels(Stage, writes="labels"):
    """Write labels that follow from the image alone."""

    def run(self, image: Image) -> Labels:
        """Return the number of the strongest colour channel."""
        return Labels(image.data.argmax(0))
