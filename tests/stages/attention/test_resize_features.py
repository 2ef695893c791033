from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.engine.values import GuideFeatures, Image
from ovsskit.stages.attention.resize_features import ResizeFeatures


def along(values: np.ndarray, count: int) -> np.ndarray:
    """Interpolate along the first axis between the middles of places; ends are held."""
    old = len(values)
    places = ((np.arange(count) + 0.5) * old / count - 0.5).clip(0, old - 1)
    low = np.floor(places).astype(int)
    high, share = np.minimum(low + 1, old - 1), (places - low)[:, None]
    flat = values.reshape(old, -1)
    return (flat[low] * (1 - share) + flat[high] * share).reshape(count, *values.shape[1:])


@pytest.mark.parametrize("size", [(24, 40), (96, 8), (40, 56)])
def test_against_one_side_after_the_other(size: tuple[int, int]) -> None:
    features = GuideFeatures(torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(1)))
    found = ResizeFeatures().run(features, Image(torch.zeros(3, *size))).data
    tall = along(features.data.numpy().transpose(1, 0, 2), size[0] // 8)
    wide = along(tall.transpose(2, 1, 0), size[1] // 8)
    np.testing.assert_allclose(found, wide.transpose(1, 2, 0), atol=1e-6)


def test_an_image_smaller_than_a_patch_has_one() -> None:
    found = ResizeFeatures().run(GuideFeatures.example(), Image(torch.zeros(3, 5, 17)))
    assert found.grid == (1, 2)
