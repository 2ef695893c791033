from __future__ import annotations

import math

import pytest
import torch

from ovsskit.engine.values import Hidden, Probabilities
from ovsskit.stages.attention.layout_similarity import (
    LayoutSimilarity,
    patch_words,
    same_place,
    smooth_rows,
)
from ovsskit.testing import example

RANDOM = torch.Generator().manual_seed(0)


def reference(words: list[list[int]]) -> list[list[float]]:
    """Look at the way between every two patches, by plain loops."""
    rows, columns = len(words), len(words[0])
    places = [(row, column) for row in range(rows) for column in range(columns)]
    longest = max(rows, columns) - 1
    found = []
    for first in places:
        line = []
        for last in places:
            if words[first[0]][first[1]] != words[last[0]][last[1]]:
                line.append(0.0)
                continue
            steps = max(abs(a - b) for a, b in zip(first, last, strict=True))
            has_way = True
            for step in range(steps + 1):
                share = step / longest
                point = [round(a + (b - a) * share) for a, b in zip(first, last, strict=True)]
                has_way &= words[point[0]][point[1]] == words[first[0]][first[1]]
            line.append(1.0 if has_way else math.exp(-steps / longest))
        found.append(line)
    return found


@pytest.mark.parametrize("shape", [(4, 4), (3, 6), (7, 2)])
def test_ways_between_patches_against_loops(shape: tuple[int, int]) -> None:
    words = torch.randint(0, 2, shape, generator=RANDOM)
    expected = torch.tensor(reference(words.tolist()))
    torch.testing.assert_close(same_place(words), expected, atol=1e-6, rtol=0)


def test_a_lone_patch_is_alike_itself() -> None:
    assert same_place(torch.zeros(1, 1, dtype=torch.int64)).tolist() == [[1.0]]


def test_rows_are_smoothed_by_a_gaussian_along_them() -> None:
    alike = torch.rand(9, 9, generator=RANDOM)
    found = smooth_rows(alike, 1.0)
    kernel = [math.exp(-(place**2) / 2) for place in range(-3, 4)]
    for row, mine in zip(alike.tolist(), found, strict=True):
        line = [
            sum(
                kernel[step + 3] * row[place + step]
                for step in range(-3, 4)
                if 0 <= place + step < 9
            )
            for place in range(9)
        ]
        expected = torch.tensor([one / sum(line) for one in line])
        torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-5)


def test_a_patch_has_the_word_of_most_pixels_and_unsure_ones_the_first() -> None:
    maps = torch.zeros(3, 4, 4)
    maps[1, :, :2], maps[2, :, 2:] = 0.9, 0.4
    maps[0, 0, 0] = 1.0
    assert patch_words(maps, (2, 2), 0.0).tolist() == [[1, 2], [1, 2]]
    assert patch_words(maps, (2, 2), 0.5).tolist() == [[1, 0], [1, 0]]
    maps[0, 0, 1] = 1.0
    assert patch_words(maps, (2, 2), 0.0).tolist() == [[0, 2], [1, 2]], "the first of equals"


def test_it_is_at_most_1_and_rounded_if_asked() -> None:
    hidden, scores = example(Hidden), example(Probabilities)
    exact, rounded = (LayoutSimilarity(rounded=one).run(scores, hidden) for one in (False, True))
    assert float(exact.data.max()) == 1.0
    assert (exact.data.dtype, rounded.data.dtype) == (torch.float32, torch.float16)
    assert torch.equal(exact.data.half(), rounded.data)
