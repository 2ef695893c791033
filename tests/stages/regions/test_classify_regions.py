"""A pixel has the cosines of its region's crop, which a plain loop cuts out the same."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from ovsskit.engine.model.encodes_image_and_text import ToyEncodesImageAndText
from ovsskit.engine.values import Image, Regions, TextFeatures
from ovsskit.stages.regions import classify_regions as module
from ovsskit.stages.regions.classify_regions import ClassifyRegions
from ovsskit.testing import example

COLOUR = (255.0, 0.0, 51.0)


def plain_crop(
    image: Image, inside: torch.Tensor, margin: float, outside: Literal["fill", "keep"]
) -> torch.Tensor:
    """Copy pixels one by one into a square of the colour."""
    rows, columns = (inside.any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = longer + 2 * round(margin * longer)
    top = (rows[0] + rows[-1] + 1 - side) // 2
    left = (columns[0] + columns[-1] + 1 - side) // 2
    crop = torch.tensor(COLOUR)[:, None, None].repeat(1, side, side) / 255
    for row in range(side):
        for column in range(side):
            y, x = top + row, left + column
            is_there = 0 <= y < image.size[0] and 0 <= x < image.size[1]
            if is_there and (outside == "keep" or inside[y, x]):
                crop[:, row, column] = image.data[:, y, x]
    return crop


@pytest.mark.parametrize("outside", ["fill", "keep"])
@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_crops_are_squares_around_regions(margin: float, outside: Literal["fill", "keep"]) -> None:
    image, regions = example(Image), example(Regions)
    numbers, members = regions.data.unique(return_inverse=True)
    stage = ClassifyRegions(margin=margin, outside=outside, colour=COLOUR)
    crops = stage.crops(image, members)
    assert len(crops) == len(numbers) > 3
    for number, crop in zip(numbers, crops, strict=True):
        expected = plain_crop(image, regions.data == number, margin, outside)
        torch.testing.assert_close(crop.data, expected)


@pytest.mark.parametrize("at_once", [1, 32])
def test_every_pixel_has_the_cosines_of_its_region(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REGIONS_AT_ONCE", at_once)
    model, texts = ToyEncodesImageAndText(), example(TextFeatures)
    images = [example(Image, seed) for seed in (0, 7)]
    regions = [example(Regions, seed) for seed in (0, 7)]
    stage = ClassifyRegions()
    found = stage.run_batch(images, regions, [texts, texts], model)
    for image, parts, scores in zip(images, regions, found, strict=True):
        assert scores.labels == texts.labels
        assert scores.data.shape[1:] == image.size
        numbers, members = parts.data.unique(return_inverse=True)
        for number, crop in zip(numbers, stage.crops(image, members), strict=True):
            vector = torch.nn.functional.normalize(model.encode_image([crop])[0], dim=0)
            there = scores.data[:, parts.data == number]
            expected = (texts.data @ vector)[:, None].expand_as(there)
            torch.testing.assert_close(there, expected, atol=1e-5, rtol=1e-4)


def test_a_region_of_one_pixel_is_looked_at_too() -> None:
    image, data = example(Image), torch.ones(24, 35, dtype=torch.int64)
    data[0, 34] = 2
    [_, crop] = ClassifyRegions().crops(image, data - 1)
    assert crop.size == (1, 1)
    assert torch.equal(crop.data[:, 0, 0], image.data[:, 0, 34])
