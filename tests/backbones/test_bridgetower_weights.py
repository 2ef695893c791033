"""What BridgeTower keeps in memory: no attention but what is asked for, and no more pairs at a time
than images.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from twins import TWINS

from ovsskit.backbones.matching.bridgetower import Bridgetower
from ovsskit.engine.values import Caption, Captions, Image
from ovsskit.testing import example

IMAGES = [example(Image, seed) for seed in (0, 7)]
TEXT = Captions((Caption("A picture of dog cat", ()),))


@pytest.fixture(scope="module")
def backbone() -> Bridgetower:
    return Bridgetower(**TWINS["bridgetower"])


def kept(backbone: Bridgetower, layers: list[int]) -> list[tuple[int, ...]]:
    """Return the shapes of all tensors that are kept for the backward pass."""
    shapes: list[tuple[int, ...]] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(tensor.shape))
        return tensor

    backbone.encode(IMAGES[:1])
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        backbone.cross_attention(
            IMAGES[:1], [TEXT], layers=layers, objective="match_logit", pad_to=0
        )
    return shapes


def test_no_map_is_kept_but_that_of_the_wanted_layer(backbone: Bridgetower) -> None:
    heads = backbone.network.config.text_config.num_attention_heads
    keys, length = (
        1 + backbone.grid[0] * backbone.grid[1],
        backbone.count_tokens(TEXT.captions[0].text),
    )
    shapes = kept(backbone, [1])
    assert not [
        shape for shape in shapes if shape[-2:] in ((keys, keys), (keys, length)) and heads in shape
    ]
    assert {shape for shape in shapes if shape[-2:] == (length, keys) and heads in shape} == {
        (1, heads, length, keys)
    }


def test_later_layers_keep_less(backbone: Bridgetower) -> None:
    sizes = [
        sum(torch.Size(shape).numel() for shape in kept(backbone, [layer]))
        for layer in range(1, backbone.layer_count + 1)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2


def test_no_more_pairs_at_a_time_than_images(
    backbone: Bridgetower, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs: list[int] = []
    fuse_text = Bridgetower.fuse_text

    def spy(self: Bridgetower, features: torch.Tensor, rows: Any, wanted: Any) -> Any:
        pairs.append(sum(map(len, rows)))
        return fuse_text(self, features, rows, wanted)

    monkeypatch.setattr(Bridgetower, "fuse_text", spy)
    captions = [Caption(f"A picture of dog {number}", ()) for number in range(5)]
    backbone.match(IMAGES, [captions, captions[:2]])
    backbone.cross_attention(
        IMAGES, [Captions(tuple(captions))] * 2, layers=[2], objective="match_logit", pad_to=0
    )
    assert max(pairs) == len(IMAGES)
