from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsskit.ops.nearest_neighbours import Part, nearest_keys


@pytest.mark.parametrize("step", [1, 3, 7, 40])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_against_sorting_all_products(step: int, count: int) -> None:
    generator = np.random.default_rng(step + count)
    keys, hidden = generator.normal(size=(40, 6)), generator.random((2, 40)) < 0.4
    groups = [generator.normal(size=(rows, 6)) for rows in (3, 1)]
    parts = (
        Part(
            torch.from_numpy(keys[start : start + step]),
            [torch.from_numpy(one[start : start + step]) for one in hidden],
        )
        for start in range(0, 40, step)
    )
    found = nearest_keys([torch.from_numpy(one) for one in groups], parts, count)
    for queries, mine, result in zip(groups, hidden, found, strict=True):
        for query, products, places in zip(queries, result.products, result.places, strict=True):
            free = [place for place in range(40) if not mine[place]]
            best = sorted(free, key=lambda place: -float(keys[place] @ query))[:count]
            there = products > -torch.inf
            assert places[there].tolist() == best
            np.testing.assert_allclose(products[there], keys[best] @ query)


def test_no_part_is_held_longer_than_it_is_looked_at() -> None:
    """Only one part is there at a time: the next is read when the last is done."""
    looked_at: list[int] = []

    def parts() -> object:
        for number in range(4):
            yield Part(torch.full((2, 3), float(number)), [torch.zeros(2, dtype=torch.bool)])
            looked_at.append(number)

    [found] = nearest_keys([torch.ones(1, 3)], parts(), 2)  # type: ignore[arg-type]
    assert looked_at == [0, 1, 2, 3]
    assert sorted(found.places[0].tolist()) == [6, 7]
