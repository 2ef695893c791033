from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.segmentation
import torch
from hypothesis import given
from hypothesis import strategies as st
from painter import labels, stripes
from scipy.stats import entropy

from ovsskit.engine.memo import Memo, remembering
from ovsskit.engine.values import Image, Labels
from ovsskit.stages.reward._sizes import nearest, reduced
from ovsskit.stages.reward.region_reward import RegionReward, foretold

FLAG = stripes("red", "green", "blue", size=48)
"""Its regions are its stripes."""

seeds = st.integers(0, 2**32 - 1)


def reward(found: Labels, image: Image = FLAG, **fields: float) -> float:
    return float(RegionReward(**fields).run(image, found).data)


def noise(seed: int, kinds: int, rows: int = 9, columns: int = 11) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, kinds, (rows, columns)))


def test_hand_computed() -> None:
    regions = torch.tensor([[0, 0, 1, 1]])
    assert foretold(torch.tensor([[7, 7, 4, 4]]), regions) == pytest.approx(1)
    assert foretold(torch.tensor([[7, 4, 7, 4]]), regions) == pytest.approx(0, abs=1e-12)
    assert foretold(torch.tensor([[4, 4, 4, 4]]), regions) == 0, "a single label"
    # H(label) = 0.8113 bits; of the first region 0, of the second 1 bit, half of the pixels each.
    expected = 1 - 0.5 / (0.25 * 2 + 0.75 * math.log2(4 / 3))
    assert foretold(torch.tensor([[4, 4, 4, 7]]), regions) == pytest.approx(expected)


@given(seeds, st.integers(2, 5), st.integers(1, 7))
def test_it_is_mutual_information_over_entropy(seed: int, kinds: int, parts: int) -> None:
    found, regions = noise(seed, kinds), noise(seed + 1, parts)
    table = np.histogram2d(found.flatten(), regions.flatten(), (kinds, parts))[0]
    own, of_regions, of_both = entropy(table.sum(1)), entropy(table.sum(0)), entropy(table.ravel())
    expected = (own + of_regions - of_both) / own
    assert foretold(found, regions) == pytest.approx(expected, abs=1e-9)


@given(seeds, st.integers(2, 5), st.integers(1, 7), st.permutations(range(7)))
def test_numbers_of_labels_and_regions_mean_nothing(
    seed: int, kinds: int, parts: int, order: list[int]
) -> None:
    found, regions = noise(seed, kinds), noise(seed + 1, parts)
    value, others = foretold(found, regions), torch.tensor(order)
    assert 0 <= value <= 1
    assert foretold(others[found] * 10, others[regions]) == pytest.approx(value, abs=1e-9)


@given(seeds, st.integers(2, 9))
def test_labels_that_are_made_of_whole_regions_have_1(seed: int, parts: int) -> None:
    regions = noise(seed, parts)
    regions[0, :2] = torch.tensor([0, 1])
    label_of = noise(seed + 1, 3, 1, parts)[0]
    label_of[:2] = torch.tensor([0, 1])
    value = foretold(label_of[regions], regions)
    assert value == pytest.approx(1)
    assert value <= 1


@pytest.mark.parametrize("size", [(3, 3), (4, 6), (7, 7)])
def test_labels_that_lie_across_the_regions_have_0_and_no_less(size: tuple[int, int]) -> None:
    rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    assert 0 <= foretold(columns, rows) < 1e-12


def test_labels_that_follow_the_image_have_more() -> None:
    right = reward(labels(1, 2, 3, size=48))
    assert right == 1
    assert reward(labels(1, 2, 2, size=48)) == 1, "two regions may have one label"
    shifted = Labels(labels(1, 2, 3, size=48).ids.roll(4, 1))
    assert 0.4 < reward(shifted) < right
    assert reward(Labels(shifted.ids.T)) < 0.05, "stripes that lie across"
    assert reward(Labels(torch.full((48, 48), 2))) == 0
    assert reward(labels(1, 2, 3, size=96)) == 1, "labels of another size than the image's"


def test_the_regions_are_those_of_scikit_image() -> None:
    data = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(1))
    stage = RegionReward(scale=2, sigma=0.5, minimum=5, shrink=1)
    expected = skimage.segmentation.felzenszwalb(
        data.movedim(0, -1).numpy(), scale=2, sigma=0.5, min_size=5
    )
    found = noise(3, 4, 60, 80)
    value = float(stage.run(Image(data), Labels(found)).data)
    assert value == pytest.approx(foretold(found, torch.from_numpy(expected)))


def test_an_image_is_reduced_by_shrink_and_to_the_longest_side() -> None:
    data = torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(1))
    assert reduced(data, 1.0, 80) is data
    assert reduced(data, 2.0, 512).shape == (3, 30, 40)
    assert reduced(data, 2.0, 40).shape == (3, 30, 40)
    assert reduced(data, 2.0, 20).shape == (3, 15, 20)
    assert reduced(data[:, :1], 2.0, 20).shape == (3, 1, 20)
    assert reduced(torch.ones(3, 1, 1), 3.0, 20).shape == (3, 1, 1)
    flat = reduced(torch.full((3, 60, 80), 0.4), 4.0, 512)
    torch.testing.assert_close(flat, torch.full((3, 15, 20), 0.4))


def test_labels_come_from_the_pixels_around_the_new_middles() -> None:
    ids = torch.arange(12).reshape(2, 6)
    assert nearest(ids, (2, 6)) is ids
    assert nearest(ids, (2, 2)).tolist() == [[1, 4], [7, 10]]
    assert nearest(ids, (4, 6)).tolist() == ids.repeat_interleave(2, 0).tolist()
    assert nearest(ids, (1, 1)).tolist() == [[9]]
    large = torch.tensor([[2**24 + 1, 2**53 + 1]])
    assert nearest(large, (1, 4)).tolist() == large.repeat_interleave(2, 1).tolist()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 2)])
def test_images_of_few_pixels(size: tuple[int, int]) -> None:
    assert reward(Labels(torch.ones(size).long()), Image(torch.ones(3, *size))) == 0
    many = Labels(torch.arange(size[0] * size[1]).reshape(size))
    assert 0 <= reward(many, Image(torch.rand(3, *size))) <= 1


@pytest.fixture
def segmented(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return the sizes of the images whose regions are found from here on."""
    sizes, real = [], skimage.segmentation.felzenszwalb

    def count(image: np.ndarray, **settings: float) -> np.ndarray:
        sizes.append(image.shape[:2])
        return real(image, **settings)

    monkeypatch.setattr(skimage.segmentation, "felzenszwalb", count)
    return sizes


def test_regions_are_found_once_for_all_candidates(segmented: list[tuple[int, ...]]) -> None:
    one, other = labels(1, 2, 3, size=48), labels(1, 2, 1, size=48)
    with remembering(Memo(1 << 20)):
        values = [reward(one), reward(other), reward(one)]
        assert len(segmented) == 1
        reward(one, Image(FLAG.data.flip(0)))
        assert len(segmented) == 2, "another image"
        for fields in ({"scale": 61}, {"sigma": 0.8}, {"minimum": 61}, {"shrink": 3}):
            reward(one, **fields)
        reward(one, longest=20)
        assert len(segmented) == 7, "other parameters"
        assert segmented[-2:] == [(16, 16), (20, 20)]
    assert values == [reward(one), reward(other), reward(one)]
    assert len(segmented) == 10, "without a memo they are found each time"
