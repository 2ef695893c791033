from __future__ import annotations

import math
from itertools import product

import kornia
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, diags, eye
from scipy.sparse.linalg import cg

from ovsskit.engine.values import Image, Logits
from ovsskit.stages.refine.pixel_graph import PixelGraph


def spread(maps: torch.Tensor, image: torch.Tensor, stage: PixelGraph) -> np.ndarray:
    """Spread map by map over a sparse matrix of all ties."""
    height, width = image.shape[1:]
    lab = kornia.color.rgb_to_lab(image[None])[0] / torch.tensor([100, 128, 128])[:, None, None]
    square = range(-stage.radius, stage.radius + 1)
    places, ties = [], []
    for row, column, down, right in product(range(height), range(width), square, square):
        other = (row + down, column + right)
        if (down, right) != (0, 0) and 0 <= other[0] < height and 0 <= other[1] < width:
            far = math.dist(lab[:, row, column].tolist(), lab[:, *other].tolist())
            places.append((row * width + column, other[0] * width + other[1]))
            ties.append(math.exp(-far / stage.colour_scale))
    count = height * width
    matrix = csr_matrix((ties, tuple(zip(*places, strict=True))), shape=(count, count))
    root = diags(1 / np.sqrt(np.asarray(matrix.sum(1)).ravel()))
    laplacian = eye(count) - stage.alpha * root @ matrix @ root
    flat = maps.double().flatten(1).numpy()
    solved = [cg(laplacian, one, rtol=1e-6, maxiter=stage.iterations)[0] for one in flat]
    return np.stack(solved).reshape(maps.shape)


@pytest.mark.parametrize(
    "stage",
    [
        PixelGraph(colour_scale=0.3),
        PixelGraph(radius=2, colour_scale=0.1, alpha=0.8),
        PixelGraph(radius=1, colour_scale=0.3, iterations=3),
    ],
    ids=str,
)
def test_against_scipy(stage: PixelGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovsskit.stages.refine.pixel_graph.MAPS_AT_ONCE", 2)
    image, maps = torch.rand(3, 7, 9), torch.randn(5, 7, 9)
    found = stage.run(Logits(maps, (0, 0, 1, 2, 3)), Image(image))
    assert found.labels == (0, 0, 1, 2, 3)
    np.testing.assert_allclose(found.data.numpy(), spread(maps, image, stage), rtol=1e-3, atol=1e-4)


def test_maps_of_another_size_are_brought_to_the_images() -> None:
    image, maps = Image(torch.rand(3, 8, 12)), torch.rand(2, 4, 3)
    large = torch.nn.functional.interpolate(maps[None], (8, 12), mode="bilinear")[0]
    found, expected = (PixelGraph().run(Logits(one, (1, 2)), image) for one in (maps, large))
    assert torch.equal(found.data, expected.data)


def test_scores_stop_at_an_edge() -> None:
    """Of two halves in two colours, with one score each, every pixel gets its half's."""
    image = torch.full((3, 8, 12), 0.2)
    image[:, :, 6:] = 0.8
    maps = torch.zeros(2, 8, 12)
    maps[0, 4, 2] = maps[1, 4, 9] = 1.0
    found = PixelGraph().run(Logits(maps, (1, 2)), Image(image)).data
    assert torch.equal(found.argmax(0), (image[0] > 0.5).long())
    assert found[0, :, 6:].abs().max() < 1e-6
