"""CLIP's image encoder, normalised at the end on all tokens, as in BridgeTower and mPLUG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import count_of

RENAMES = (
    ("visual.class_embedding", "visual.embeddings.class_embedding"),
    ("visual.conv1.", "visual.embeddings.patch_embedding."),
    ("visual.positional_embedding", "visual.embeddings.position_embedding.weight"),
)
"""From CLIP's names to those of `BridgeTowerVisionModel`; the others are equal."""


def tower_shape(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the configuration of an encoder whose tensors have these shapes.

    Raises:
        KeyError: a tensor is missing.
    """
    patches = state[f"{prefix}visual.embeddings.patch_embedding.weight"].shape
    cells = state[f"{prefix}visual.embeddings.position_embedding.weight"].shape[0] - 1
    return {
        "hidden_size": patches[0],
        "patch_size": patches[-1],
        "image_size": round(cells**0.5) * patches[-1],
        "num_hidden_layers": count_of(state, rf"{prefix}visual\.transformer\.resblocks\.(\d+)\."),
    }


def run_tower(
    visual: Any, pixels: Float[torch.Tensor, "image 3 h w"], last: int
) -> list[Float[torch.Tensor, "key image width"]]:
    """Return what the last so many blocks give, class token first.

    Each state is that before the normalisation (`visual.forward_post`).
    """
    embeddings = visual.embeddings
    patches = embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    first = embeddings.class_embedding.expand(len(patches), 1, -1)
    tokens = torch.cat([first, patches], 1) + embeddings.position_embedding.weight
    state = visual.ln_pre(tokens).transpose(0, 1)
    kept: list[torch.Tensor] = []
    for block in visual.transformer.resblocks:
        state = block(state)
        kept = [*kept, state][-last:]
    return kept
