"""Patches go through the blocks of timm's network, and through its attention pool one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from clip_twin import clip_twin
from noise_images import noise
from siglip_twin import siglip_twin, write_siglip

from ovsskit.backbones.clip.siglip import Siglip
from ovsskit.engine.values import Attention
from ovsskit.errors import BadValue, BadWeights


@pytest.mark.parametrize("size", [(160, 160), (64, 112), (192, 160)])
def test_tokens_are_those_of_timm(size: tuple[int, int]) -> None:
    backbone, image = Siglip(weights=siglip_twin()), noise(*size)
    [hidden] = backbone.hidden([image], [1, 5])
    assert hidden.grid == (size[0] // 16, size[1] // 16)
    assert hidden.others == 1
    with torch.no_grad():
        left = backbone.trunk.forward_features(backbone.pixels(image)[None])[0]
    [guide] = backbone.guide([image], "token")
    torch.testing.assert_close(guide.vectors, left[1:], atol=1e-4, rtol=1e-4)


def test_the_last_block_put_together_again_is_the_network() -> None:
    backbone, image = Siglip(weights=siglip_twin()), noise(80, 96)
    [hidden] = backbone.hidden([image], [8])
    queries, keys, _ = backbone.project(hidden, 8)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    tokens = backbone.gather(hidden, Attention(weights, (8,), hidden.grid), residual=True)
    left = backbone.normalise_tokens(backbone.feed_forward(8, tokens))
    [guide] = backbone.guide([image], "token")
    torch.testing.assert_close(left[1:], guide.vectors, atol=1e-4, rtol=1e-4)


def test_a_patch_among_texts_is_what_the_pool_makes_of_it_alone() -> None:
    backbone = Siglip(weights=siglip_twin())
    tokens = torch.rand(5, 64, generator=torch.Generator().manual_seed(1))
    visual = backbone.network.visual
    with torch.no_grad():
        expected = torch.cat([visual.trunk.attn_pool(one[None, None]) for one in tokens])
    found = backbone.into_texts(tokens)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.shape[1] == backbone.encode_text(["dog"]).shape[1]


def test_encoders_without_such_a_pool_are_refused_with_the_reason(tmp_path: Path) -> None:
    write_siglip(tmp_path / "mean", timm_pool="avg")
    image = noise(64, 64)
    with pytest.raises(BadWeights, match="no attention pool"):
        Siglip(weights=str(tmp_path / "mean")).hidden([image], [1])
    with pytest.raises(BadWeights, match="not one of timm's transformers"):
        Siglip(weights=clip_twin()).hidden([image], [1])
    turned = Siglip(weights=siglip_twin())
    turned.network.visual.trunk.rope = torch.nn.Identity()
    with pytest.raises(BadWeights, match="turns positions into queries and keys"):
        turned.hidden([image], [1])
    with pytest.raises(BadValue, match="smaller than a patch of 16"):
        Siglip(weights=siglip_twin()).hidden([noise(15, 30)], [1])
