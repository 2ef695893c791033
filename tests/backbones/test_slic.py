from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from ovsskit.backbones.proposers.slic import Slic
from ovsskit.embedded import sample_scenes
from ovsskit.engine.images import read_image
from ovsskit.engine.values import Image
from ovsskit.stages.regions.paint_regions import PaintRegions


@pytest.mark.parametrize("pieces", [20, 150])
def test_pieces_cover_the_image_once_and_hang_together(pieces: int) -> None:
    image = read_image(sample_scenes()[0].image)
    [masks] = Slic(pieces=pieces).propose_masks([image])
    assert pieces / 2 < len(masks.data) < pieces * 1.5
    assert torch.equal(masks.data.sum(0), torch.ones(image.size).long())
    assert all(label(mask.numpy())[1] == 1 for mask in masks.data)


def test_two_halves_of_two_colours_are_two_pieces() -> None:
    data = torch.zeros(3, 20, 30)
    data[0, :, 13:] = 1.0
    [masks] = Slic(pieces=2, compactness=1.0).propose_masks([Image(data)])
    regions = PaintRegions().run(masks).data.numpy()
    assert len(np.unique(regions)) == 2
    assert len(np.unique(regions[:, :13])) == len(np.unique(regions[:, 13:])) == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (2, 2)])
def test_tiny_images(size: tuple[int, int]) -> None:
    [masks] = Slic().propose_masks([Image(torch.rand(3, *size))])
    assert torch.equal(masks.data.sum(0), torch.ones(size).long())
