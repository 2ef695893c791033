from __future__ import annotations

import torch

from ovsskit.engine.values import Image
from ovsskit.stages.network.foreground import Foreground
from ovsskit.testing import ToyBackbone


def test_likely_pixels_are_foreground_where_it_shall_be_binary() -> None:
    bright = torch.tensor([[0.2, 0.5, 0.51], [0.9, 0.0, 0.49]])
    image = Image(bright.expand(3, -1, -1).clone())
    kept = Foreground().run(image, ToyBackbone())
    torch.testing.assert_close(kept.data, bright)
    binary = Foreground(binary=True).run(image, ToyBackbone())
    assert binary.data.tolist() == [[0, 0, 1], [1, 0, 0]]
