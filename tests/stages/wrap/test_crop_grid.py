from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import torch
from noise_images import noise
from sampling import bilinear

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Logits, Vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.wrap.crop_grid import CropGrid
from ovsskit.testing import ToyScores, check_wrapper, example

PLACES = ("centred", "stretched")


class MeanColour(Stage, writes="scores"):
    """Score an image by its mean colour: one place for each channel."""

    def run(self, image: Image) -> Logits:
        """Return three numbers."""
        return Logits(image.data.mean((1, 2), keepdim=True), (1, 2, 3))


def run(image: Image, **fields: Any) -> torch.Tensor:
    chain = [CropGrid(inner=(MeanColour(),), **fields)]
    [slots] = Pipeline.of(chain, {}, device="cpu").run_many([image], example(Vocabulary))
    data: torch.Tensor = slots["scores"].data
    return data


def requests_of(image: Image, **fields: Any) -> list[Image]:
    chain: Generator[Any, Any, Any] = CropGrid(**fields).run(image)
    return [image.crop(window) for window in next(chain)]


def test_published_crops() -> None:
    """One, nine and forty-nine crops of an image of 256 x 256, row by row."""
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    image = Image(torch.stack([y, x, x]) / 255, "squared")
    crops = requests_of(image)
    assert [crop.size[0] for crop in crops] == [256] + [128] * 9 + [64] * 49
    corners = [tuple((crop.data[:2, 0, 0] * 255).round().int().tolist()) for crop in crops]
    assert corners[:5] == [(0, 0), (0, 0), (0, 64), (0, 128), (64, 0)]
    assert corners[10:] == [(32 * row, 32 * column) for row in range(7) for column in range(7)]
    assert crops[0] is image
    assert {crop.name for crop in crops} == {"squared"}


@pytest.mark.parametrize("size", [(40, 40), (33, 50), (70, 21)])
def test_stretched_grids_tile_the_image(size: tuple[int, int]) -> None:
    image = noise(*size)
    crops = requests_of(image, sizes=(16,))
    rows, columns = (1 + -(-(side - 16) // 8) for side in size)
    assert len(crops) == rows * columns
    grid = torch.stack([crop.data.mean((1, 2)) for crop in crops], 1).reshape(3, rows, columns)
    found = run(image, sizes=(16,), place="stretched")
    torch.testing.assert_close(found.double(), bilinear(grid, size), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(40, 40), (33, 50), (70, 12)])
def test_centred_scores_lie_in_the_middle_of_their_crops(size: tuple[int, int]) -> None:
    """Against numpy's interpolation, along one side and then along the other."""
    image = noise(*size)
    sides = []
    for length in size:
        starts = sorted({min(start, max(length - 16, 0)) for start in range(0, length - 8, 8)})
        sides.append([(start, min(start + 16, length)) for start in starts])
    grid = np.array(
        [
            [image.data[:, top:bottom, left:right].mean((1, 2)).numpy() for left, right in sides[1]]
            for top, bottom in sides[0]
        ]
    )
    middles = [[(start + stop) / 2 for start, stop in one] for one in sides]
    pixels = [np.arange(length) + 0.5 for length in size]
    found = run(image, sizes=(16,))
    for channel in range(3):
        wide = [np.interp(pixels[1], middles[1], line) for line in grid[:, :, channel]]
        whole = [np.interp(pixels[0], middles[0], line) for line in np.array(wide).T]
        np.testing.assert_allclose(found[channel].numpy(), np.array(whole).T, atol=1e-5)


def test_a_ramp_stays_a_ramp_between_the_centres_alone_where_they_are_kept() -> None:
    ramp = Image((torch.arange(64) / 63).expand(3, 64, 64).clone())
    centred, stretched = (run(ramp, sizes=(16,), place=one)[0, 30] for one in PLACES)
    inside = slice(8, 56)
    torch.testing.assert_close(centred[inside], ramp.data[0, 30, inside], atol=1e-5, rtol=1e-5)
    assert float((stretched[inside] - ramp.data[0, 30, inside]).abs().max()) > 0.04


def test_sizes_are_averaged() -> None:
    image = noise(30, 40)
    each = [run(image, sizes=(size,)) for size in (0, 16, 24)]
    torch.testing.assert_close(run(image, sizes=(0, 16, 24)), sum(each) / 3)
    whole = image.data.mean((1, 2))[:, None, None].expand_as(each[0])
    torch.testing.assert_close(each[0], whole)


def test_a_crop_of_one_row_of_pixels_and_an_image_smaller_than_a_crop() -> None:
    assert run(noise(1, 40), sizes=(16,)).shape == (3, 1, 40)
    small = noise(5, 7)
    expected = small.data.mean((1, 2))[:, None, None].expand(3, 5, 7)
    torch.testing.assert_close(run(small, sizes=(16, 256)), expected)
    assert len(requests_of(noise(3, 3), sizes=(1,), step=0.5)) == 9


def test_hidden_patches_are_hidden_in_the_whole_image_alone() -> None:
    hidden = torch.zeros(2, 2, dtype=torch.bool)
    whole, *crops = requests_of(noise(32, 32).hide(hidden), sizes=(0, 16))
    assert whole.hidden is hidden
    assert all(crop.hidden is None for crop in crops)


@pytest.mark.parametrize("place", PLACES)
def test_contract_with_other_places(place: Any) -> None:
    check_wrapper(CropGrid(place=place, sizes=(16, 8)), inner=ToyScores())
