from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import Image
from ovsskit.stages.network.guide_features import GuideFeatures
from ovsskit.testing import ToyBackbone, example


@pytest.mark.parametrize("facet", ["token", "query_key"])
def test_it_asks_the_guide_for_the_facet(facet: Any) -> None:
    toy, images = ToyBackbone(), [example(Image, seed) for seed in (0, 7)]
    found = GuideFeatures(facet=facet).run_batch(images, toy)
    for mine, expected in zip(found, toy.guide(images, facet), strict=True):
        assert torch.equal(mine.data, expected.data)
