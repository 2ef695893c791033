from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from painter import VOCABULARY, Painter, stripes
from scipy import ndimage

from ovsskit.engine.values import Image, Saliency
from ovsskit.stages.reward._spline import resize_cubic
from ovsskit.stages.reward.released_clip_reward import ReleasedClipReward, contrast, soft_masks


def by_scipy(values: np.ndarray, size: int) -> np.ndarray:
    """Resize as scikit-image does: blur what shrinks, then splines, within the range
    of the input.
    """
    factors = np.array(values.shape) / size
    sigma = np.maximum(0, (factors - 1) / 2)
    blurred = ndimage.gaussian_filter(values, sigma, mode="constant") if sigma.any() else values
    found = ndimage.zoom(blurred, 1 / factors, order=3, mode="grid-constant", grid_mode=True)
    return np.clip(found, values.min(), values.max())


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 24), st.integers(0, 99))
def test_splines_are_those_of_scipy(rows: int, columns: int, size: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((rows, columns))
    ours = resize_cubic(torch.tensor(values)[None], size)[0]
    np.testing.assert_allclose(ours, by_scipy(values, size), atol=1e-6)


def test_masks_follow_the_published_steps() -> None:
    maps = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(1)) * 3
    for ours, values in zip(soft_masks(maps, 0.4, 30, 0.04), maps.double().numpy(), strict=True):
        cut = ((values - values.min()) / np.ptp(values) > 0.4).astype(float)
        blurred = ndimage.gaussian_filter(by_scipy(cut, 30), 0.04 * 30)
        np.testing.assert_allclose(ours, (blurred - blurred.min()) / np.ptp(blurred), atol=1e-5)


def halves(left: tuple[float, ...], right: tuple[float, ...]) -> Saliency:
    """Return one map per class, constant on either half."""
    maps = torch.tensor([left, right]).T[:, None].repeat_interleave(4, 2).expand(-1, 8, -1)
    return Saliency(maps.contiguous(), tuple(range(1, len(left) + 1)))


IMAGE = stripes("red", "green", size=16)


def reward(scores: Saliency, image: Image = IMAGE, **fields: Any) -> float:
    return float(
        ReleasedClipReward(size=16, **fields).run(image, scores, VOCABULARY, Painter()).data
    )


def test_classes_that_look_more_like_their_words_than_nothing_count() -> None:
    assert reward(halves((1.0, 0.0), (0.0, 1.0))) == 2
    assert reward(halves((0.0, 1.0), (1.0, 0.0))) == 0
    assert reward(halves((1.0, 1.0), (0.0, 0.0))) == 1, "green is sought where red is"


def test_ratio_and_contrast() -> None:
    right = halves((1.0, 0.0), (0.0, 1.0))
    masks = soft_masks(right.data, 0.15, 16, 0.04)
    mine, other = (float((masks[0] > 0.15)[:, half].sum()) for half in (slice(0, 8), slice(8, 16)))
    own = math.exp((mine - other) / math.hypot(mine, other))  # the odds of red against green
    assert reward(right, form="released_ratio", scale=1.0) == pytest.approx(
        -0.5 / (own / (own + 1)), abs=1e-5
    )
    assert reward(right, contrast=True) == pytest.approx(
        2 * (1 - float(contrast(masks)[0])), abs=1e-6
    )


def test_of_places_that_are_all_alike_the_contrast_is_one() -> None:
    mean, deviation = contrast(torch.ones(2, 30, 30))
    assert float(mean) == pytest.approx(1)
    assert float(deviation) == pytest.approx(0, abs=1e-6)


def test_a_single_class_a_map_without_contrast_and_no_class() -> None:
    one = halves((1.0,), (0.0,))
    assert reward(one) == 0, "it has all the probability whatever is shown"
    assert reward(halves((1.0, 0.5), (0.0, 0.5))) == 1, (
        "a flat map hides everything, and does not count"
    )
    assert math.isnan(reward(Saliency(torch.rand(1, 8, 8), (0,)))), "the background is no class"
    assert (
        reward(
            Saliency(
                torch.cat([torch.rand(1, 8, 8), halves((1.0, 0.0), (0.0, 1.0)).data]), (0, 1, 2)
            )
        )
        == 2
    )


def test_what_is_greater_than_the_threshold_is_shown() -> None:
    assert reward(halves((1.0, 0.0), (0.0, 1.0)), at=0.0, sigma=0.0) == 2


def test_images_are_resized_for_the_judge() -> None:
    assert reward(halves((1.0, 0.0), (0.0, 1.0)), stripes("red", "green", size=50)) == 2
