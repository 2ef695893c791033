from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.engine.values import PatchSimilarity, Regions
from ovsskit.stages.regions.region_scope import RegionScope


@pytest.mark.parametrize("uncovered", ["zero", "lowest"])
@pytest.mark.parametrize("lowest", [0, 2])
def test_against_pairs_one_by_one(uncovered: str, lowest: int) -> None:
    generator = np.random.default_rng(lowest)
    numbers = generator.integers(lowest, lowest + 3, 12)
    numbers[0] = lowest
    data = generator.normal(size=(12, 12)).astype("float32")
    expected = np.full_like(data, -np.inf)
    outside = numbers == (numbers.min() if uncovered == "lowest" else 0)
    for row, column in np.ndindex(data.shape):
        if outside[row] or outside[column]:
            keep = data[row, column] > data.mean()
        else:
            keep = numbers[row] == numbers[column]
        if keep or row == column:
            expected[row, column] = data[row, column]
    stage = RegionScope(uncovered=uncovered)  # type: ignore[arg-type]
    similarity = PatchSimilarity(torch.from_numpy(data), (3, 4))
    found = stage.run(similarity, Regions(torch.from_numpy(numbers).view(3, 4)))
    assert np.array_equal(found.data.numpy(), expected)


def test_where_all_patches_are_alike_each_keeps_itself() -> None:
    similarity = PatchSimilarity(torch.ones(6, 6), (2, 3))
    found = RegionScope().run(similarity, Regions(torch.zeros(2, 3).long()))
    assert torch.equal(found.data.softmax(1), torch.eye(6))


def test_regions_of_another_size_are_brought_to_the_grid() -> None:
    similarity = PatchSimilarity(torch.rand(4, 4), (2, 2))
    large = Regions(torch.tensor([[1, 1, 2, 2]]).repeat(4, 1))
    small = Regions(torch.tensor([[1, 2], [1, 2]]))
    stage = RegionScope()
    assert torch.equal(stage.run(similarity, large).data, stage.run(similarity, small).data)
