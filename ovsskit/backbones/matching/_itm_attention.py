"""Attention of a matching model to images, image by image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ovsskit._lazy import Float, torch
from ovsskit.backbones.matching._text import Tokens
from ovsskit.engine.sending import send_places


def without_padding(
    attention: Sequence[Float[torch.Tensor, "_ head _ key"]], rows: Sequence[Sequence[Tokens]]
) -> Iterator[Float[torch.Tensor, "layer head token key"]]:
    """Yield, for every image, the attention of its captions' tokens in each layer."""
    layers = [by_image(one.detach().float(), len(rows)) for one in attention]
    longest = max(len(tokens.ids) for row in rows for tokens in row)
    for index, row in enumerate(rows):
        tokens_of_row = [
            start * longest + token
            for start, tokens in enumerate(row)
            for token in range(len(tokens.ids))
        ]
        places = send_places(tokens_of_row, layers[0].device)
        yield torch.stack([one[index].index_select(1, places) for one in layers])


def by_image(
    attention: Float[torch.Tensor, "_ head _ key"], count: int
) -> Float[torch.Tensor, "image head token key"]:
    """Return attention with the tokens of all rows of an image in one line, however they ran."""
    found: torch.Tensor = attention.unflatten(0, (count, -1)).transpose(1, 2).flatten(2, 3)
    return found
