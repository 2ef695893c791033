from __future__ import annotations

from statistics import multimode

import numpy as np
import pytest
import torch

from ovsskit.engine.values import Labels, Regions
from ovsskit.stages.regions.region_vote import RegionVote


def one_by_one(ids: np.ndarray, regions: np.ndarray, kept: int) -> np.ndarray:
    """Return what a loop over the regions gives."""
    found = ids.copy()
    for number in set(regions.flatten().tolist()) - {kept}:
        inside = regions == number
        found[inside] = min(multimode(ids[inside].tolist()))
    return found


@pytest.mark.parametrize("uncovered", ["zero", "lowest"])
@pytest.mark.parametrize("lowest", [0, 3])
@pytest.mark.parametrize("seed", range(5))
def test_against_a_loop(uncovered: str, lowest: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ids = generator.choice([0, 2, 5, 40_000], (11, 17))
    regions = generator.integers(lowest, lowest + 9, (11, 17))
    kept = int(regions.min()) if uncovered == "lowest" else 0
    vote = RegionVote(uncovered=uncovered)  # type: ignore[arg-type]
    found = vote.run(Labels(torch.from_numpy(ids)), Regions(torch.from_numpy(regions)))
    assert np.array_equal(found.ids.numpy(), one_by_one(ids, regions, kept))


def test_the_smaller_id_wins_a_tie() -> None:
    labels = Labels(torch.tensor([[7, 3, 7, 3]]))
    assert RegionVote().run(labels, Regions(torch.ones(1, 4).long())).ids.tolist() == [[3] * 4]


def test_places_in_no_region_keep_their_ids() -> None:
    labels = Labels(torch.tensor([[1, 1, 2, 1, 2, 2]]))
    regions = Regions(torch.tensor([[0, 4, 4, 4, 0, 0]]))
    assert RegionVote().run(labels, regions).ids.tolist() == [[1, 1, 1, 1, 2, 2]]


def test_an_image_that_regions_cover_loses_none_unless_asked() -> None:
    regions = Regions(torch.tensor([[5] * 6]))
    labels = Labels(torch.tensor([[1, 1, 2, 2, 2, 2]]))
    assert RegionVote().run(labels, regions).ids.unique().tolist() == [2]
    assert torch.equal(RegionVote(uncovered="lowest").run(labels, regions).ids, labels.ids)


def test_regions_of_half_the_size_are_enlarged() -> None:
    labels = Labels(torch.tensor([[1, 2, 2, 2], [1, 1, 2, 1]]))
    regions = Regions(torch.tensor([[1, 2]]))
    assert RegionVote().run(labels, regions).ids.tolist() == [[1, 1, 2, 2]] * 2
