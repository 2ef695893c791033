"""Run CLIP's image encoder, normalised at the end on all tokens, as in BridgeTower and mPLUG."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import Float, torch


def run_tower(
    visual: Any, pixels: Float[torch.Tensor, "image 3 h w"], last: int
) -> list[Float[torch.Tensor, "key image width"]]:
    """Return what the last blocks, this many, give, class token first.

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
