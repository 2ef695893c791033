from __future__ import annotations

import torch
from sampling import bilinear

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


def test_bilinear_is_without_antialiasing_and_in_bytes() -> None:
    random = torch.rand(3, 40, 90, generator=torch.Generator().manual_seed(0))
    image = Image((random * 255).round() / 255)
    square = SquareImage(side=32, interpolation="bilinear").run(image).data * 255
    assert torch.equal(square, square.round())
    assert (square - bilinear(image.data * 255, (32, 32))).abs().max() < 1


def test_nearest_takes_whole_pixels() -> None:
    image = Image(torch.arange(3 * 5 * 7).reshape(3, 5, 7).float() / 255)
    square = SquareImage(side=3, interpolation="nearest").run(image).data
    for row, of_row in enumerate((0, 1, 3)):
        for column, of_column in enumerate((0, 2, 4)):
            assert torch.equal(square[:, row, column], image.data[:, of_row, of_column])
