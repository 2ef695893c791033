"""Run CLIP's image encoder with its last normalisation on all tokens, as BridgeTower and mPLUG have it."""

from __future__ import annotations

from typing import Any, Literal

from ovsskit._lazy import Float, torch
from ovsskit.backbones.matching._itm import resize_positions

RENAMES = (
    ("visual.class_embedding", "visual.embeddings.class_embedding"),
    ("visual.conv1.", "visual.embeddings.patch_embedding."),
    ("visual.positional_embedding", "visual.embeddings.position_embedding.weight"),
)
"""From CLIP's names to those of `BridgeTowerVisionModel`; the others are equal."""


def fit_grid(visual: Any, grid: tuple[int, int], mode: Literal["bicubic", "bilinear"]) -> None:
    """Resize the position embeddings of an encoder to a grid."""
    table = resize_positions(visual.embeddings.position_embedding.weight.detach(), grid, mode)
    visual.embeddings.position_embedding = torch.nn.Embedding.from_pretrained(table)


def run_tower(
    visual: Any, pixels: Float[torch.Tensor, "image 3 h w"], last: int
) -> list[Float[torch.Tensor, "key image width"]]:
    """Return what the last so many blocks give, each before the normalisation (`visual.forward_post`), class token first."""
    embeddings = visual.embeddings
    patches = embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    first = embeddings.class_embedding.expand(len(patches), 1, -1)
    state = visual.ln_pre(
        torch.cat([first, patches], 1) + embeddings.position_embedding.weight
    ).transpose(0, 1)
    kept: list[torch.Tensor] = []
    for block in visual.transformer.resblocks:
        state = block(state)
        kept = [*kept, state][-last:]
    return kept
