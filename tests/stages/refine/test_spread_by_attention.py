from __future__ import annotations

import numpy
import pytest
import torch

from ovsskit.engine.values import PatchAttention, Saliency
from ovsskit.errors import BadValue
from ovsskit.ops.boxes import inside_boxes, scale
from ovsskit.stages.refine.spread_by_attention import SpreadByAttention, affinity
from ovsskit.testing import example

close = torch.testing.assert_close


def test_attention_is_balanced_made_symmetric_and_squared() -> None:
    given = torch.rand(7, 7, generator=torch.Generator().manual_seed(0)) + 0.01
    expected = given.double().numpy()
    for _ in range(3):
        expected = expected / expected.sum(0)[None, :]
        expected = expected / expected.sum(1)[:, None]
    expected = (expected + expected.T) / 2
    expected = numpy.array(
        [[sum(row * column) for column in expected.T] for row in expected], dtype=numpy.float32
    )
    close(affinity(given, 3).numpy(), expected)
    balanced = affinity(given, 60)
    close(balanced.sum(0), torch.ones(7), atol=1e-4, rtol=0)


def test_patches_take_in_what_lies_in_the_boxes() -> None:
    attention = example(PatchAttention)
    maps = Saliency(torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0)), (2, 1))
    found = SpreadByAttention(layers=(3, -1), box_at=0.6).run(maps, attention)
    assert found.labels == (2, 1)
    weights = affinity((attention.data[2] + attention.data[11]) / 2, 3)
    for mine, one in zip(found.data, maps.data, strict=True):
        box = inside_boxes(scale(one)[None], [0.6]).flatten()
        masked = weights.clone()
        masked[:, ~box] = 0
        close(mine.flatten(), masked @ one.flatten())


def test_maps_of_another_grid_are_resized_first() -> None:
    attention, stage = example(PatchAttention), SpreadByAttention()
    coarse = Saliency(torch.rand(1, 8, 10, generator=torch.Generator().manual_seed(0)), (1,))
    resized = torch.nn.functional.interpolate(coarse.data[None], (4, 5), mode="bilinear")[0]
    close(
        stage.run(coarse, attention).data,
        stage.run(Saliency(resized, (1,)), attention).data,
    )


def test_a_map_of_zeros_stays_one() -> None:
    found = SpreadByAttention().run(Saliency(torch.zeros(1, 4, 5), (1,)), example(PatchAttention))
    assert not found.data.any()


def test_a_block_that_the_attention_does_not_hold() -> None:
    whole = example(PatchAttention)
    some = PatchAttention(whole.data[:2], (1, 2), whole.grid, whole.block_count)
    with pytest.raises(BadValue, match=r"spread_by_attention\.layers asks for 12.*holds 1, 2"):
        SpreadByAttention().run(example(Saliency), some)
    with pytest.raises(BadValue, match="asks for 13; the image encoder has 12 blocks"):
        SpreadByAttention(layers=(13,)).run(example(Saliency), whole)
