from __future__ import annotations

import torch

from ovsskit.engine.model.grounds_text import ToyGroundsText
from ovsskit.engine.values import Hidden
from ovsskit.stages.network.ground_patches import GroundPatches
from ovsskit.testing import example


def test_every_image_gets_what_the_models_grounder_gives() -> None:
    backbone, many = ToyGroundsText(), [example(Hidden, seed) for seed in (0, 7)]
    for hidden, found in zip(many, GroundPatches().run_batch(many, backbone), strict=True):
        rows, columns = hidden.grid
        assert found.data.shape[1:] == (2 * rows, 2 * columns)
        assert torch.equal(found.data, backbone.ground(hidden).data)
