from __future__ import annotations

from typing import Any

import pytest
import torch
from clip_twin import clip_twin
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._clip_blocks import KEPT_BLOCKS
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import NEGATIVE, Image, TextFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.maps.channel_cam import ChannelCam
from ovsskit.stages.network.encode_hidden import EncodeHidden
from ovsskit.stages.network.explain_queries import ExplainQueries
from ovsskit.stages.network.patch_attention import PatchAttention, mean_over_heads
from ovsskit.stages.refine.spread_by_attention import SpreadByAttention
from ovsskit.testing import ToyBackbone, example


@pytest.mark.parametrize("weights", ["embedded", clip_twin()], ids=["embedded", "twin"])
def test_it_is_what_torch_gives_for_a_block_as_the_mean_of_its_heads(weights: str) -> None:
    backbone = Clip(weights=weights)
    image = Image(torch.rand(3, 48, 80, generator=torch.Generator().manual_seed(1)))
    layers = tuple(range(1, backbone.block_count + 1))
    hidden = EncodeHidden(layers=layers).run(image, backbone)
    found = PatchAttention(layers=layers).run(hidden, backbone)
    assert (found.layers, found.grid) == (layers, hidden.grid)
    assert found.block_count == backbone.block_count
    for layer in layers:
        block = vision.blocks_of(backbone.visual)[layer - 1]
        tokens = block.ln_1(hidden.entering(layer))[None]
        _, expected = block.attn(tokens, tokens, tokens, need_weights=True)
        torch.testing.assert_close(found.of((layer,))[0], expected[0, 1:, 1:])


def test_blocks_beyond_those_that_the_model_keeps_are_not_kept_either() -> None:
    backbone = Clip(weights=clip_twin())
    layers = tuple(range(1, backbone.block_count + 1))
    [hidden] = backbone.hidden([Image(torch.rand(3, 32, 32))], layers)
    PatchAttention(layers=layers).run(hidden, backbone)
    assert len(backbone._projections[hidden]) == KEPT_BLOCKS


def test_a_block_whose_input_was_not_kept() -> None:
    toy = ToyBackbone()
    hidden = EncodeHidden(layers=(3, 12)).run(example(Image), toy)
    assert PatchAttention(layers=(-1, 3)).run(hidden, toy).layers == (3, 12)
    with pytest.raises(BadValue, match=r"patch_attention\.layers asks for 4.*kept for 3, 12 only"):
        PatchAttention(layers=(4,)).run(hidden, toy)
    with pytest.raises(BadValue, match=r"asks for 13; the image encoder has 12 blocks"):
        PatchAttention(layers=(13,)).run(hidden, toy)


class Largest(TorchDispatchMode):
    """Note how many numbers the largest tensor that is made holds."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        sizes = [one.numel() for one in tree_leaves(out) if isinstance(one, torch.Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return out


def test_an_image_of_512_pixels_takes_the_memory_of_one_head() -> None:
    tokens, heads = 1 + 32 * 32, 12
    queries, keys = torch.rand(2, heads, tokens, 8)
    with Largest() as seen:
        mean_over_heads(queries, keys, 1)
    assert seen.numbers <= tokens**2 < heads * tokens**2


def test_no_line_of_stages_makes_the_attention_of_all_heads() -> None:
    backbone = Clip(weights=clip_twin(), positions="half")
    heads = backbone.visual.transformer.resblocks[0].attn.num_heads
    image = Image(torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(2)))
    layers = tuple(range(1, backbone.block_count + 1))
    texts = TextFeatures(torch.eye(backbone.visual.proj.shape[1])[:3], (1, 2, NEGATIVE))
    with Largest() as seen:
        hidden = EncodeHidden(layers=layers).run(image, backbone)
        attention = PatchAttention(layers=(-1,)).run(hidden, backbone)
        maps = ChannelCam().run(ExplainQueries().run(hidden, texts, backbone))
        SpreadByAttention(layers=(-1,)).run(maps, attention)
    tokens = 1 + hidden.grid[0] * hidden.grid[1]
    assert heads > 1
    assert seen.numbers <= tokens**2
