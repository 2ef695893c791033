"""The second half of `attend`, on a real block: what the model does with its last tokens."""

from __future__ import annotations

import torch

from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Image
from ovsskit.stages.attention.gather_values import GatherValues
from ovsskit.stages.attention.project_patches import ProjectPatches
from ovsskit.stages.attention.self_attention import SelfAttention
from ovsskit.stages.attention.self_similarity import SelfSimilarity
from ovsskit.testing import example


def test_as_trained_it_is_what_the_model_itself_gives() -> None:
    clip = Clip(weights="embedded", positions="size")
    side = clip.network.visual.image_size[0]
    image = Image(example(Image).data.repeat(1, 10, 10)[:, :side, :side])
    [hidden] = clip.hidden([image], [clip.block_count])
    attention = SelfAttention().run(SelfSimilarity().run(hidden, clip))
    gathered = GatherValues(residual=True).run(hidden, attention, clip)
    found = ProjectPatches(feed_forward=True).run(gathered, clip)
    visual = clip.network.visual
    with torch.no_grad():
        tokens = visual._embeds(clip.pixels(image)[None])
        tokens = visual.ln_post(visual.transformer(tokens))[0, 1:] @ visual.proj
    torch.testing.assert_close(found.vectors, tokens, atol=1e-4, rtol=1e-4)
