from __future__ import annotations

from typing import Literal

import pytest
import torch

from ovsskit.engine.values import Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.maps.foreground_by_keys import ForegroundByKeys
from ovsskit.testing import ToyBackbone, example


class Given(ToyBackbone):
    """Have tokens for queries, their squares for keys, and their signs for values."""

    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tokens = hidden.entering(layer).unflatten(1, (2, -1)).transpose(0, 1)
        return tokens, tokens.square(), tokens.sign()


def of(*patches: tuple[float, ...]) -> Hidden:
    """Return tokens of a grid of two rows, in block 12."""
    tokens = torch.tensor([(9.0,) * 4, *patches])[None]
    return Hidden(tokens, (12,), (2, len(patches) // 2))


def test_the_patch_that_is_like_few_others_is_foreground() -> None:
    wall, thing = (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)
    between = (1.0, 0.0, 1.0, 0.0)
    found = ForegroundByKeys().run(of(wall, wall, thing, wall, between, wall), Given())
    share = 2**-0.5  # the cosine of what lies between with both others
    wall_alike, thing_alike, mixed = 4 + share, 1 + share, 5 * share + 1
    low = max(wall_alike, mixed)
    values = [
        (low - alike) / (low - thing_alike)
        for alike in (wall_alike, wall_alike, thing_alike, wall_alike, mixed, wall_alike)
    ]
    torch.testing.assert_close(found.data.flatten(), torch.tensor(values), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_reference_by_pairs(part: Literal["query", "key", "value"]) -> None:
    hidden, toy = example(Hidden), Given()
    found = ForegroundByKeys(part=part, layers=(-1, -2)).run(hidden, toy)
    total = torch.zeros(20)
    for layer in (11, 12):
        vectors = toy.project(hidden, layer)[["query", "key", "value"].index(part)]
        rows = [torch.cat([head[patch] for head in vectors]) for patch in range(1, 21)]
        for patch in range(20):
            total[patch] += sum(
                torch.nn.functional.cosine_similarity(rows[patch], other, dim=0) for other in rows
            )
    expected = (total.max() - total) / (total.max() - total.min())
    torch.testing.assert_close(found.data.flatten(), expected, atol=1e-4, rtol=1e-4)


def test_nothing_stands_out_of_an_image_of_one_colour() -> None:
    found = ForegroundByKeys().run(of(*[(1.0, 2.0, 3.0, 4.0)] * 4), Given())
    assert found.data.shape == (2, 2)
    assert not found.data.any()


def test_blocks_that_were_not_kept_are_named() -> None:
    with pytest.raises(BadValue, match="asks for 3"):
        ForegroundByKeys(layers=(3,)).run(example(Hidden), ToyBackbone())
