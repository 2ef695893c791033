"""Run text layers that look at an image's tokens, keeping the attention that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ovsskit._lazy import Float, Int, torch

Step = tuple[Literal["text", "cross", "connected"], Any]
"""A layer and how it runs: on text alone; with cross-attention to the image; on both together."""
MASKED = -10000.0
"""What BERT's kin add to the attention to padding."""


def fuse(
    steps: Sequence[Step],
    hidden: Float[torch.Tensor, "row token width"],
    mask: Int[torch.Tensor, "row token"],
    features: Float[torch.Tensor, "image key features"],
    wanted: Sequence[int],
) -> tuple[Float[torch.Tensor, "row token width"], list[Float[torch.Tensor, "_ head _ key"]]]:
    """Run layers; return the text's last state, and the wanted cross-attention, tied by a graph.

    Wanted layers count from 1 among those with cross-attention; what runs before the first of them
    keeps no graph. The rows of an image follow each other. They form one row of queries, so that
    keys and values are computed once for all of them, until a connected layer gives every row an
    image of its own; attention has one entry for each of these.
    """
    rows, length, _ = hidden.shape
    kept, number = [], 0
    padding = (1 - mask[:, None, None]).to(hidden.dtype) * MASKED
    for kind, layer in steps:
        number += kind == "cross"
        with torch.set_grad_enabled(bool(wanted) and number >= min(wanted)):
            if kind == "connected":
                hidden, features = _connect(layer, hidden, padding, features)
                continue
            if kind == "cross" and wanted and number == min(wanted):
                hidden = hidden.detach().requires_grad_()
            hidden = layer.attention(hidden, attention_mask=padding)[0]
            if kind == "cross":
                hidden = hidden.view(len(features), rows // len(features) * length, -1)
                hidden, attention = layer.crossattention(hidden, encoder_hidden_states=features)
                kept += [attention] if number in wanted else []
            hidden = layer.feed_forward_chunk(hidden).view(rows, length, -1)
    return hidden, kept


def by_image(
    attention: Float[torch.Tensor, "_ head _ key"], count: int
) -> Float[torch.Tensor, "image head token key"]:
    """Return attention with the tokens of all rows of an image in one line, however they ran."""
    found: torch.Tensor = attention.unflatten(0, (count, -1)).transpose(1, 2).flatten(2, 3)
    return found


def _connect(layer: Any, hidden: Any, padding: Any, features: Any) -> tuple[Any, Any]:
    """Run a layer over image and text together; what it makes of the image is added to it."""
    features = features.repeat_interleave(len(hidden) // len(features), 0)
    keys = features.shape[1]
    both = layer.attention(
        torch.cat([features, hidden], 1), attention_mask=torch.nn.functional.pad(padding, (keys, 0))
    )[0]
    both = layer.feed_forward_chunk(both)
    return both[:, keys:], features + both[:, :keys]
