from __future__ import annotations

import torch

from ovsskit.engine.model.describes_patches import ToyDescribesPatches
from ovsskit.engine.values import Image
from ovsskit.stages.network.describe_patches import DescribePatches
from ovsskit.testing import example


def test_every_image_gets_the_models_vectors() -> None:
    images = [example(Image, seed) for seed in (0, 7)]
    found = DescribePatches().run_batch(images, ToyDescribesPatches())
    for image, features in zip(images, found, strict=True):
        [alone] = ToyDescribesPatches().describe_patches([image])
        assert torch.equal(features.data, alone.data)
