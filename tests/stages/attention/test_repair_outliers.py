from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import Hidden
from ovsskit.stages.attention.repair_outliers import RepairOutliers, find_outliers, outlier_scores
from ovsskit.stages.attention.repair_outliers import repair as repair_maps
from ovsskit.testing import ToyBackbone, example

RANDOM = torch.Generator().manual_seed(0)


def reference(vectors: list[list[float]], neighbours: int) -> list[float]:
    """Score by plain loops."""
    count = len(vectors)
    nearest = []
    for one in range(count):
        others = sorted(
            (sum((a - b) ** 2 for a, b in zip(vectors[one], vectors[other], strict=True)), other)
            for other in range(count)
            if other != one
        )
        nearest.append(others[:neighbours])
    density = [neighbours / found[-1][0] for found in nearest]
    return [
        sum(density[other] for _, other in found) / neighbours / density[one]
        for one, found in enumerate(nearest)
    ]


def test_scores_against_loops() -> None:
    vectors = torch.randn(40, 6, generator=RANDOM)
    found = outlier_scores(vectors, 7)
    expected = torch.tensor(reference(vectors.tolist(), 7))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_far_vectors_are_outliers() -> None:
    vectors = torch.randn(60, 4, generator=RANDOM)
    vectors[[7, 33, 51]] += 9 * torch.eye(4)[:3]
    assert find_outliers(vectors, 5, 0.05).nonzero()[:, 0].tolist() == [7, 33, 51]


def test_an_outlier_becomes_the_mean_of_its_neighbours_that_are_none() -> None:
    maps = torch.arange(12.0).reshape(1, 3, 4)
    outliers = torch.zeros(3, 4, dtype=torch.bool)
    outliers[0, 0] = outliers[1, 1] = True
    found = repair_maps(maps, outliers)[0]
    assert float(found[0, 0]) == pytest.approx((1 + 4) / 2)
    assert float(found[1, 1]) == pytest.approx((1 + 2 + 4 + 6 + 8 + 9 + 10) / 7)
    kept = ~outliers
    assert torch.equal(found[kept], maps[0][kept])


def test_without_any_neighbour_it_stays() -> None:
    maps = torch.rand(2, 1, 3, generator=RANDOM)
    assert torch.equal(repair_maps(maps, torch.ones(1, 3, dtype=torch.bool)), maps)


def test_the_outliers_of_one_block_are_repaired_in_all() -> None:
    hidden = example(Hidden)
    stage = RepairOutliers(layers=(11, 12), found_in=12, neighbours=4, share=0.1)
    found = stage.run(hidden, ToyBackbone())
    outliers = find_outliers(hidden.entering(12)[1:], 4, 0.1)
    assert 0 < int(outliers.sum()) < 4
    changed = (found.data != hidden.data).any(-1)
    assert torch.equal(changed, torch.nn.functional.pad(outliers, (1, 0)).expand(2, -1))


def test_of_few_patches_all_are_neighbours() -> None:
    vectors = torch.randn(6, 3, generator=RANDOM)
    assert torch.equal(outlier_scores(vectors, 30), outlier_scores(vectors, 5))


def test_equal_patches_are_no_outliers() -> None:
    assert outlier_scores(torch.ones(8, 3), 3).isfinite().all()
    assert not find_outliers(torch.ones(8, 3), 3, 0.05).any()
