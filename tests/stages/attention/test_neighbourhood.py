from __future__ import annotations

import math

import torch

from ovsskit.engine.values import Similarity
from ovsskit.stages.attention.neighbourhood import Neighbourhood
from ovsskit.testing import example


def test_a_gaussian_of_the_distance_is_added_between_patches() -> None:
    given = example(Similarity)
    rows, columns = given.grid
    expected = given.data.clone()
    for one in range(rows * columns):
        for other in range(rows * columns):
            distance = math.dist(divmod(one, columns), divmod(other, columns))
            expected[..., 1 + one, 1 + other] += math.exp(-(distance**2) / (2 * 1.7**2))
    found = Neighbourhood(sigma=1.7).run(given)
    torch.testing.assert_close(found.data, expected, atol=1e-5, rtol=1e-5)
    assert (found.layers, found.grid) == (given.layers, given.grid)


def test_number_formats_and_grids_are_kept_apart() -> None:
    given = example(Similarity)
    half = Similarity(given.data.half(), given.layers, given.grid)
    assert Neighbourhood().run(half).data.dtype == torch.float16
    turned = Similarity(given.data, given.layers, given.grid[::-1])
    assert not torch.equal(Neighbourhood().run(turned).data, Neighbourhood().run(given).data)
