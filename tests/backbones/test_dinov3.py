"""What DINOv3 hands on is what transformers' network computes; other weights are refused."""

from __future__ import annotations

import pytest
import torch
import transformers
from dino_twin import dino_twin, dinov3_twin
from noise_images import noise

from ovsskit.backbones.dino._vision import DEVIATION, MEAN
from ovsskit.backbones.dino.dinov3 import Dinov3
from ovsskit.engine.values import Image
from ovsskit.errors import BadValue, BadWeights

OTHERS = 3


def normalised(image: Image) -> torch.Tensor:
    mean, deviation = (torch.tensor(one)[:, None, None] for one in (MEAN, DEVIATION))
    return ((image.data - mean) / deviation)[None]


@pytest.fixture(scope="module")
def network() -> transformers.DINOv3ViTModel:
    return transformers.DINOv3ViTModel.from_pretrained(dinov3_twin()).eval()


def test_tokens_are_those_of_the_library(network: transformers.DINOv3ViTModel) -> None:
    image = noise(24, 56)
    with torch.no_grad():
        expected = network(normalised(image)).last_hidden_state[0, OTHERS:]
    [found] = Dinov3(weights=dinov3_twin()).guide([image], "token")
    assert found.grid == (3, 7)
    torch.testing.assert_close(found.vectors, expected, atol=1e-5, rtol=1e-5)


def test_parts_are_what_the_last_block_makes_of_its_input(
    network: transformers.DINOv3ViTModel,
) -> None:
    image, seen = noise(40, 32), {}
    attention = network.model.layer[-1].attention
    for part in "qkv":
        layer = getattr(attention, f"{part}_proj")
        layer.register_forward_hook(lambda _, __, out, part=part: seen.update({part: out[0]}))
    with torch.no_grad():
        network(normalised(image))
    backbone = Dinov3(weights=dinov3_twin())
    wanted = {"query": seen["q"], "key": seen["k"], "value": seen["v"]}
    wanted["query_key"] = seen["q"] + seen["k"]
    for facet, expected in wanted.items():
        [found] = backbone.guide([image], facet)
        torch.testing.assert_close(found.vectors, expected[OTHERS:], atol=1e-5, rtol=1e-5)


def test_other_weights_and_small_images_are_refused() -> None:
    with pytest.raises(BadWeights, match="cannot be read as a DINOv3|lack"):
        Dinov3(weights=dino_twin()).check_weights()
    with pytest.raises(BadValue, match="smaller than a patch of 8"):
        Dinov3(weights=dinov3_twin()).guide([noise(7, 20)], "token")
