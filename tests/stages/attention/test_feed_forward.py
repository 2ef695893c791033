"""Apart from the projection, the second half of a block is what it is with it."""

from __future__ import annotations

import torch

from ovsskit.engine.values import Gathered
from ovsskit.stages.attention.feed_forward import FeedForward
from ovsskit.stages.attention.project_patches import ProjectPatches
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()


def test_it_is_the_half_that_the_projection_can_do_itself() -> None:
    gathered = example(Gathered)
    left = FeedForward().run(gathered, TOY)
    assert (left.layer, left.grid) == (gathered.layer, gathered.grid)
    assert not torch.equal(left.data, gathered.data)
    apart = ProjectPatches().run(left, TOY)
    together = ProjectPatches(feed_forward=True).run(gathered, TOY)
    torch.testing.assert_close(apart.data, together.data)
