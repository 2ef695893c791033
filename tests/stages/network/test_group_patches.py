from __future__ import annotations

import torch

from ovsskit.engine.model.groups_patches import ToyGroupsPatches
from ovsskit.engine.values import Image
from ovsskit.stages.network.group_patches import GroupPatches
from ovsskit.testing import example


def test_every_image_gets_the_models_groups() -> None:
    images = [example(Image, seed) for seed in (0, 7)]
    found = GroupPatches().run_batch(images, ToyGroupsPatches())
    for image, groups in zip(images, found, strict=True):
        [alone] = ToyGroupsPatches().group_patches([image])
        assert torch.equal(groups.assignment, alone.assignment)
