from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.engine.values import GuideFeatures, Regions
from ovsskit.stages.regions.merge_regions import MergeRegions


def one_by_one(regions: np.ndarray, features: np.ndarray, within: float, kept: int) -> np.ndarray:
    """Return what joining regions pair by pair gives, in the order of their numbers."""
    unit = features / np.linalg.norm(features, axis=0)
    numbers = [number for number in np.unique(regions) if number != kept]
    means = [unit[:, regions == number].mean(1) for number in numbers]
    means = [mean / np.linalg.norm(mean) for mean in means]
    clusters = [[index] for index in range(len(numbers))]
    highest = max(a @ b for a in means for b in means)
    for first in range(len(numbers)):
        for second in range(first):
            if highest - means[first] @ means[second] <= within:
                one = next(cluster for cluster in clusters if first in cluster)
                other = next(cluster for cluster in clusters if second in cluster)
                if one is not other:
                    clusters = [c for c in clusters if c not in (one, other)] + [one + other]
    found = regions.copy()
    for place, cluster in enumerate(sorted(map(sorted, clusters))):
        for index in cluster:
            found[regions == numbers[index]] = kept + 1 + place
    return found


@pytest.mark.parametrize("within", [0.0, 0.3, 0.6, 2.0])
@pytest.mark.parametrize("uncovered", ["zero", "lowest"])
@pytest.mark.parametrize("seed", range(3))
def test_against_pairs_one_by_one(within: float, uncovered: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    regions = generator.integers(3, 12, (6, 8)) * 7
    features = generator.normal(size=(5, 6, 8)) + 0.5
    stage = MergeRegions(within=within, uncovered=uncovered)  # type: ignore[arg-type]
    found = stage.run(
        Regions(torch.from_numpy(regions)), GuideFeatures(torch.from_numpy(features).float())
    )
    kept = int(regions.min()) if uncovered == "lowest" else 0
    assert np.array_equal(found.data.numpy(), one_by_one(regions, features, within, kept))


def test_like_regions_far_apart_become_one_and_unlike_neighbours_do_not() -> None:
    features = torch.zeros(2, 1, 6)
    features[0, 0, [0, 1, 4, 5]] = 1.0
    features[1, 0, [2, 3]] = 1.0
    regions = Regions(torch.tensor([[1, 1, 2, 2, 3, 3]]))
    found = MergeRegions().run(regions, GuideFeatures(features))
    assert found.data.tolist() == [[1, 1, 2, 2, 1, 1]]


def test_places_in_no_region_stay_so() -> None:
    features = GuideFeatures(torch.ones(2, 1, 6))
    regions = Regions(torch.tensor([[0, 0, 8, 8, 9, 9]]))
    assert MergeRegions().run(regions, features).data.tolist() == [[0, 0, 1, 1, 1, 1]]


def test_fewer_than_two_regions_stay_as_they_are_on_the_grid_of_the_guide() -> None:
    features = GuideFeatures(torch.ones(2, 1, 2))
    regions = Regions(torch.tensor([[0, 0, 8, 8]]))
    assert MergeRegions().run(regions, features).data.tolist() == [[0, 8]]
