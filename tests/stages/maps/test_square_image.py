from __future__ import annotations

import torch

from ovsskit.engine.values import Image
from ovsskit.stages.maps.square_image import SquareImage


def test_proportions_are_not_kept() -> None:
    """Reference: torch's own antialiased bicubic resize, on the same bytes."""
    random = torch.rand(3, 40, 90, generator=torch.Generator().manual_seed(0))
    image = Image((random * 255).round() / 255, "name")
    square = SquareImage(side=32).run(image)
    assert (square.size, square.name) == ((32, 32), "name")
    expected = torch.nn.functional.interpolate(
        image.data[None], (32, 32), mode="bicubic", antialias=True
    )[0].clamp(0, 1)
    torch.testing.assert_close(
        square.data, expected, atol=2.01 / 255, rtol=0
    )  # Pillow rounds twice
    torch.testing.assert_close(square.data * 255, (square.data * 255).round(), atol=1e-4, rtol=0)
