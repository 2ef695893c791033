from __future__ import annotations

from typing import Literal

import pytest
import torch

from ovsskit.engine.values import Image
from ovsskit.stages.maps.crop_image import CropImage


def noise(height: int, width: int) -> Image:
    generator = torch.Generator().manual_seed(height)
    return Image((torch.rand(3, height, width, generator=generator) * 255).round() / 255, "a")


@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "whole"), [((40, 60), (20, 30)), ((61, 40), (30, 20)), ((15, 16), (20, 21))]
)
def test_square_is_the_middle_of_the_resized_image(
    how: Literal["nearest", "bilinear", "bicubic"], size: tuple[int, int], whole: tuple[int, int]
) -> None:
    image = noise(*size)
    uncut = CropImage(short_side=20, interpolation=how, crop=False).run(image)
    assert uncut.size == whole
    square = CropImage(short_side=20, interpolation=how).run(image)
    assert square.size == (20, 20)
    top, left = (round((side - 20) / 2) for side in whole)
    assert torch.equal(square.data, uncut.data[:, top : top + 20, left : left + 20])
    assert square.name == "a"


def test_nearest_takes_pixels_as_they_are() -> None:
    image = noise(40, 40)
    found = CropImage(short_side=20).run(image)
    assert torch.equal(found.data, image.data[:, 1::2, 1::2])


def test_an_image_of_the_length_keeps_its_pixels() -> None:
    image = noise(20, 33)
    assert CropImage(short_side=20, crop=False).run(image).data is image.data
    # half of 13 is rounded to an even number
    assert torch.equal(CropImage(short_side=20).run(image).data, image.data[:, :, 6:26])
