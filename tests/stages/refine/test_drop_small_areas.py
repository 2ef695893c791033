from __future__ import annotations

import torch

from ovsskit.engine.values import Confidences
from ovsskit.stages.refine.drop_small_areas import DropSmallAreas


def winners(labels: list[int], winning: list[int]) -> Confidences:
    """Return maps in one row where at each pixel the map of this index wins."""
    best = torch.nn.functional.one_hot(torch.tensor(winning), len(labels)).T[:, None].float()
    return Confidences(best * 0.8 + 0.1, tuple(labels))


def survivors(scores: Confidences, fraction: float) -> list[int]:
    found = DropSmallAreas(fraction=fraction).run(scores)
    kept = found.data.amax((1, 2)) > 0
    assert torch.equal(found.data[kept], scores.data[kept])
    return [label for label, alive in zip(found.labels, kept.tolist(), strict=True) if alive]


def test_the_background_does_not_count_and_stays() -> None:
    scores = winners([0, 1, 2], [0] * 90 + [1] * 9 + [2])
    assert survivors(scores, 0.1) == [0, 1]  # 1 of 10 pixels of foreground is not above a tenth
    assert survivors(scores, 0.09) == [0, 1, 2]


def test_without_a_background_every_class_counts() -> None:
    assert survivors(winners([1, 2], [0] * 9 + [1]), 0.1) == [1]


def test_a_class_that_wins_nowhere_is_dropped() -> None:
    assert survivors(winners([0, 1, 2], [0, 2]), 0.0) == [0, 2]


def test_where_all_is_background_no_class_is_left() -> None:
    assert survivors(winners([0, 1, 2], [0, 0]), 0.1) == [0]
