"""A judge that looks at colours: an image's vector is its mean colour, a word's the colour that it
names.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import PrivateAttr

from ovsskit.engine.model import Backbone, EncodesImageAndText
from ovsskit.engine.values import Image, Labels
from ovsskit.recipe.vocabulary import make_vocabulary

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}
VOCABULARY = make_vocabulary(list(COLOURS), (4, 9, 2))
RED, GREEN, BLUE = VOCABULARY.ids[1:]


class Painter(Backbone, EncodesImageAndText):
    """Judge by colour."""

    _seen: list[list[Image]] = PrivateAttr(default_factory=list)

    def to(self, device: str) -> Painter:
        return self

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([COLOURS[text.split()[-1]] for text in texts]) * 3

    def encode_image(self, images: Sequence[Image]) -> torch.Tensor:
        self._seen.append(list(images))
        return torch.stack([image.data.mean((1, 2)) for image in images])


def stripes(*colours: str, size: int = 6) -> Image:
    """Return an image of upright stripes of equal width."""
    columns = [
        torch.tensor(COLOURS[name])[:, None, None].expand(3, size, size // len(colours))
        for name in colours
    ]
    return Image(torch.cat(columns, 2), "stripes")


def labels(*numbers: int, size: int = 6) -> Labels:
    """Return upright stripes of labels."""
    return Labels(
        torch.tensor(numbers).repeat_interleave(size // len(numbers)).expand(size, size).clone()
    )
