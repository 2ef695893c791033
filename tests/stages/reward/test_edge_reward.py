from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.color
import torch
from hypothesis import given
from hypothesis import strategies as st
from painter import stripes
from pydantic import ValidationError
from scipy.ndimage import distance_transform_cdt, sobel

from ovsskit.engine.memo import Memo, remembering
from ovsskit.engine.values import Image, Labels
from ovsskit.stages.reward import edge_reward as module
from ovsskit.stages.reward.edge_reward import (
    EdgeReward,
    boundary,
    share_of,
    strength,
    strongest,
    within,
)

FLAG = stripes("red", "blue", size=12)
"""Its edges are the two columns in the middle, 5 and 6."""

seeds = st.integers(0, 2**32 - 1)


def reward(found: Labels, image: Image = FLAG, **fields: Any) -> float:
    return float(EdgeReward(**fields).run(image, found).data)


def shifted(columns: int) -> Labels:
    """Return the flag's labels with the boundary so many columns to the right."""
    return Labels((torch.arange(12) >= 6 + columns).long().expand(12, 12).contiguous())


def patches(seed: int, kinds: int = 4) -> torch.Tensor:
    """Return labels in blocks of four by four."""
    numbers = np.random.default_rng(seed).integers(0, kinds, (5, 6))
    return torch.from_numpy(numbers).repeat_interleave(4, 0).repeat_interleave(4, 1)


def painted(seed: int) -> Image:
    """Return blocks of four by four in a few colours."""
    colours = torch.rand(4, 3, generator=torch.Generator().manual_seed(seed))
    return Image(colours[patches(seed)].movedim(-1, 0))


@pytest.mark.parametrize(
    ("columns", "precision", "recall"),
    [(0, 1, 1), (1, 1, 1), (2, 0.5, 1), (3, 0, 0.5), (4, 0, 0), (-2, 0.5, 1)],
)
def test_a_boundary_that_is_shifted(columns: int, precision: float, recall: float) -> None:
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert reward(shifted(columns)) == pytest.approx(expected)


def test_distances_say_what_is_near() -> None:
    assert reward(shifted(1), precision_distance=0, recall_distance=0) == 0.5
    assert reward(shifted(3), precision_distance=3, recall_distance=3) == 1
    assert reward(shifted(3), precision_distance=3) == pytest.approx(2 * 0.5 / 1.5)


def test_boundaries_without_edges_and_edges_without_boundaries() -> None:
    quarters = torch.tensor([[0, 1], [2, 3]]).repeat_interleave(6, 0).repeat_interleave(6, 1)
    precision = (24 + 4) / 44  # across, four pixels are near the upright edge
    assert reward(Labels(quarters)) == pytest.approx(2 * precision / (precision + 1))
    half = torch.where(torch.arange(12)[:, None] < 6, shifted(0).ids, 0)
    # Upright 2 x 6 pixels, all near; across 2 x 6, of which columns 6 and 7 are; one is in both.
    on_boundary = 6 * 2 + 2 * 6 - 1
    near = 6 * 2 + 2 * 2 - 1
    precision, recall = near / on_boundary, 9 / 12  # rows 0 to 8
    expected = 2 * precision * recall / (precision + recall)
    assert reward(Labels(half)) == pytest.approx(expected)


def test_nothing_to_compare_is_0() -> None:
    assert reward(Labels(torch.full((12, 12), 3))) == 0, "no boundary"
    flat = Image(torch.tensor([0.3, 0.61, 0.9])[:, None, None].expand(3, 12, 12).contiguous())
    assert reward(shifted(0), flat) == 0, "no edge"
    assert reward(shifted(0), flat, precision_share=1, recall_share=1) == 0


@given(seeds, st.permutations(range(4)))
def test_numbers_of_labels_mean_nothing(seed: int, order: list[int]) -> None:
    image, found = painted(seed + 1), patches(seed)
    value = reward(Labels(found), image)
    assert 0 <= value <= 1
    assert reward(Labels(torch.tensor(order)[found] * 10), image) == value


@pytest.mark.parametrize("field", ["precision_share", "recall_share"])
def test_a_share_is_above_0_and_at_most_1(field: str) -> None:
    EdgeReward(**{field: 1.0})
    for share in (0.0, 1.01):
        with pytest.raises(ValidationError, match="greater than 0|less than or equal to 1"):
            EdgeReward(**{field: share})


@given(seeds)
def test_labels_of_an_image_of_flat_patches_have_precision_1(seed: int) -> None:
    image, found = painted(seed), patches(seed)
    near = strongest(strength(image.data), 1.0)
    assert share_of(within(near, 0), boundary(found)) == float(boundary(found).any())
    assert reward(Labels(found), image, precision_share=1, recall_share=1) == pytest.approx(
        float(boundary(found).any())
    )


@pytest.mark.parametrize("seed", range(4))
def test_it_does_not_matter_how_the_image_lies(seed: int) -> None:
    image, found = painted(seed + 1), patches(seed)
    value = reward(Labels(found), image)
    assert 0 < value < 1
    for turn in (lambda one: one.flip(-1), lambda one: one.flip(-2), lambda one: one.mT):
        turned = Image(turn(image.data).contiguous())
        assert reward(Labels(turn(found)), turned) == pytest.approx(value, abs=0.02)


def test_strength_is_that_of_other_libraries() -> None:
    data = torch.rand(3, 15, 21, generator=torch.Generator().manual_seed(2))
    lab = skimage.color.rgb2lab(data.movedim(0, -1).numpy())
    channels = [lab[..., channel] for channel in range(3)]
    slopes = [sobel(one, axis, mode="nearest") / 8 for one in channels for axis in (0, 1)]
    expected = np.sqrt(sum(one**2 for one in slopes))
    np.testing.assert_allclose(strength(data).numpy() / 1000, expected, atol=0.02)


def test_the_strongest_are_a_share_and_those_equal_to_its_last() -> None:
    values = torch.arange(20.0).reshape(4, 5)
    assert strongest(values, 0.1).sum() == 2
    assert strongest(values, 1e-6).nonzero().tolist() == [[3, 4]], "never fewer than one"
    assert strongest(values, 1.0).sum() == 19, "a flat place is no edge"
    assert strongest(values.clamp(max=15), 0.1).sum() == 5
    assert strongest(torch.zeros(4, 5), 0.5).sum() == 0


@given(seeds, st.integers(0, 4))
def test_near_is_the_larger_distance_in_rows_and_columns(seed: int, distance: int) -> None:
    mask = np.random.default_rng(seed).random((9, 13)) < 0.05
    mask[4, 5] = True
    expected = distance_transform_cdt(~mask, "chessboard") <= distance
    assert torch.equal(within(torch.from_numpy(mask), distance), torch.from_numpy(expected))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 2)])
def test_images_of_few_pixels(size: tuple[int, int]) -> None:
    assert reward(Labels(torch.ones(size).long()), Image(torch.ones(3, *size))) == 0
    many = Labels(torch.arange(size[0] * size[1]).reshape(size))
    assert 0 <= reward(many, Image(torch.rand(3, *size))) <= 1


def test_large_images_are_reduced_and_labels_with_them() -> None:
    large = Image(FLAG.data.repeat_interleave(20, 1).repeat_interleave(20, 2))
    found = Labels(shifted(2).ids.repeat_interleave(20, 0).repeat_interleave(20, 1))
    assert reward(found, large, longest=12) == pytest.approx(reward(shifted(2)))
    assert reward(shifted(2), large, longest=12) == pytest.approx(reward(shifted(2)))
    assert reward(found, large) == 0, "40 pixels away"


def test_edges_are_found_once_for_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, real = [], module.strength

    def count(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape[1:]))
        return real(image)

    monkeypatch.setattr(module, "strength", count)
    with remembering(Memo(1 << 20)):
        values = [reward(shifted(columns)) for columns in (0, 2, 0)]
        reward(shifted(0), recall_distance=4)
        assert len(seen) == 1
        reward(shifted(0), Image(FLAG.data.flip(0)))
        assert len(seen) == 2, "another image"
        for fields in ({"precision_share": 0.2}, {"precision_distance": 2}, {"recall_share": 0.1}):
            reward(shifted(0), **fields)
        reward(shifted(0), longest=6)
        assert len(seen) == 6, "other parameters"
        assert seen[-1] == (6, 6)
    assert values == [reward(shifted(columns)) for columns in (0, 2, 0)]
    assert len(seen) == 9, "without a memo they are found each time"
