from __future__ import annotations

import torch

from ovsskit.engine.values import Image
from ovsskit.stages.network.trunk_features import TrunkFeatures
from ovsskit.testing import ToyBackbone, example


def test_what_the_model_gives() -> None:
    images = [example(Image, seed) for seed in (0, 7)]
    found = TrunkFeatures().run_batch(images, ToyBackbone())
    expected = ToyBackbone().trunk_features(images)
    assert all(
        torch.equal(mine.data, theirs.data) for mine, theirs in zip(found, expected, strict=True)
    )
