from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsskit.words.looking import NONE, Seen
from ovsskit.words.tallies import Changes, Wins, WordWins

LABELS = 4


def maps(low: int, high: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, (3, 5), elements=st.integers(low, high))


def seen(labels: np.ndarray, rivals: np.ndarray | None = None) -> Seen:
    return Seen(
        torch.from_numpy(labels), None if rivals is None else torch.from_numpy(rivals), None
    )


@given(st.lists(st.tuples(maps(0, LABELS - 1), maps(NONE, LABELS - 1)), min_size=1, max_size=3))
def test_wins_are_counted_by_pixel_and_image(images: list[tuple[np.ndarray, np.ndarray]]) -> None:
    wins = Wins(LABELS)
    for labels, rivals in images:
        wins.add(seen(labels, rivals))
    wins.add(seen(np.full((3, 5), 1)))
    for label in range(LABELS):
        own = [labels == label for labels, _ in images]
        extra = 15 * (label == 1)
        assert wins.pixels[label] == sum(one.sum() for one in own) + extra
        assert wins.images[label] == sum(one.any() for one in own) + (label == 1)
        for rival in range(LABELS):
            both = [(labels == label) & (rivals == rival) for labels, rivals in images]
            assert wins.rivals[label, rival] == sum(one.sum() for one in both)


@given(st.lists(st.tuples(maps(0, LABELS - 1), maps(0, LABELS + 2)), min_size=1, max_size=3))
def test_changes_are_shares_of_either(images: list[tuple[np.ndarray, np.ndarray]]) -> None:
    changes = Changes(LABELS)
    for plain, other in images:
        changes.add(seen(plain), seen(other))
    plain, other = (np.concatenate([pair[side] for pair in images]) for side in (0, 1))
    assert changes.overall == pytest.approx((plain != other).mean())
    for label in range(LABELS):
        either, both = (plain == label) | (other == label), (plain == label) & (other == label)
        expected = 1 - both.sum() / either.sum() if either.any() else None
        assert changes.of(label) == (expected if expected is None else pytest.approx(expected))
        assert changes.after[label] == (other == label).sum()


@given(st.lists(st.tuples(maps(0, LABELS - 1), maps(NONE, 2)), min_size=1, max_size=3))
def test_words_are_counted_by_what_their_pixels_were(
    images: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    wins = WordWins(3, LABELS)
    wins.add(seen(images[0][0]), None)
    assert not wins.is_told
    for plain, words in images:
        wins.add(seen(plain), torch.from_numpy(words))
    assert wins.is_told
    for word in range(3):
        assert wins.images[word] == sum((words == word).any() for _, words in images)
        for label in range(LABELS):
            both = [(plain == label) & (words == word) for plain, words in images]
            assert wins.before[word, label] == sum(one.sum() for one in both)
