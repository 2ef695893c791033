from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.engine.values import Masks
from ovsskit.stages.regions.paint_regions import PaintRegions


def random_masks(count: int, seed: int) -> Masks:
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(count, 1, 1, generator=generator)
    data = torch.rand(count, 9, 13, generator=generator) < share
    data[:, 0, 0] = True
    return Masks(data, torch.rand(count, generator=generator).round(decimals=1))


@pytest.mark.parametrize("order", ["area", "score", "given"])
@pytest.mark.parametrize("seed", range(4))
def test_against_pixels_one_by_one(order: str, seed: int) -> None:
    masks = random_masks(7, seed)
    data, scores = masks.data.numpy(), masks.scores.numpy()
    keys = {"area": data.sum((1, 2)), "score": scores, "given": np.arange(7)}[order]
    turns = sorted(range(7), key=lambda index: (keys[index], index))
    expected = np.zeros(data.shape[1:], dtype=np.int64)
    for row, column in np.ndindex(expected.shape):
        covering = [turn for turn, mask in enumerate(turns, 1) if data[mask, row, column]]
        expected[row, column] = max(covering, default=0)
    found = PaintRegions(order=order).run(masks)  # type: ignore[arg-type]
    assert np.array_equal(found.data.numpy(), expected)


def test_a_large_mask_hides_a_small_one_inside_it() -> None:
    data = torch.zeros(2, 6, 6, dtype=torch.bool)
    data[0, 1:5, 1:5] = True
    data[1, 2:4, 2:4] = True
    masks = Masks(data, torch.tensor([0.4, 0.9]))
    assert PaintRegions().run(masks).data.unique().tolist() == [0, 2]
    assert PaintRegions(order="score").run(masks).data.unique().tolist() == [0, 1, 2]


def test_without_masks_all_is_in_no_region() -> None:
    masks = Masks(torch.zeros(0, 5, 6, dtype=torch.bool), torch.zeros(0))
    assert torch.equal(PaintRegions().run(masks).data, torch.zeros(5, 6, dtype=torch.int64))
