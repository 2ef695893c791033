from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import NEGATIVE, Explanation, Present, Saliency
from ovsskit.stages.wrap.filter_texts import FilterTexts, wording
from ovsskit.testing import check_wrapper

LABELS = (1, 1, 2, 2, 3, 3, NEGATIVE, NEGATIVE)
"""Two texts for each of three classes, and two negatives."""
SEEN: list[tuple[tuple[int, ...], list[int]]] = []


class Maps(Stage, writes="scores"):
    """Give each class a map of its number and its text; note what is asked for."""

    blank_in: tuple[int, ...] = ()

    def run(self, explanation: Explanation, present: Present) -> Saliency:
        rows = explanation.logits.int().tolist()
        SEEN.append((present.labels, rows))
        values = [
            float(row + 1) for row, label in zip(rows, explanation.labels, strict=True) if label > 0
        ]
        if len(SEEN) - 1 in self.blank_in:
            values = [0.0] * len(values)
        return Saliency(torch.tensor(values)[:, None, None].expand(-1, 2, 2), present.labels)


class Keep(Stage, writes="present"):
    """Keep the classes of a list that is known beforehand, one for each round."""

    rounds: tuple[tuple[int, ...], ...]

    def run(self, present: Present) -> Present:
        return Present(self.rounds[len(SEEN) - 1])


def filter_texts(
    kept: tuple[tuple[int, ...], ...],
    labels: tuple[int, ...] = LABELS,
    present: tuple[int, ...] = (1, 2, 3),
    blank_in: tuple[int, ...] = (),
    **fields: Any,
) -> Saliency:
    SEEN.clear()
    inner = (Maps(blank_in=blank_in), Keep(rounds=kept))
    numbers = torch.arange(float(len(labels)))
    explanation = Explanation(torch.ones(4, 2, 2), numbers, numbers[:, None].expand(-1, 4), labels)
    state = {"present": Present(present), "explanation": explanation}
    [found] = Driver({}, {}).run([FilterTexts(inner=inner, **fields)], [state])
    scores: Saliency = found["scores"]
    return scores


def values(scores: Saliency) -> dict[int, float]:
    return dict(zip(scores.labels, scores.data[:, 0, 0].tolist(), strict=True))


def test_contract() -> None:
    check_wrapper(FilterTexts())


def test_classes_are_dropped_until_all_are_kept() -> None:
    found = filter_texts(((1, 3), (3,), (3,)))
    assert [labels for labels, _ in SEEN] == [(1, 2, 3), (1, 3), (3,)]
    assert values(found) == {3: 6.0}


def test_the_first_round_has_its_own_wording_and_negatives_always_compete() -> None:
    filter_texts(((1, 3), (3,), (3,)))
    assert [rows for _, rows in SEEN] == [[0, 2, 4, 6, 7], [1, 5, 6, 7], [5, 6, 7]]


def test_another_wording_is_tried_although_all_are_kept() -> None:
    filter_texts(((1, 2, 3), (1, 2, 3)))
    assert [rows[0] for _, rows in SEEN] == [0, 1]


def test_a_round_that_would_be_the_same_is_not_run() -> None:
    found = filter_texts(((1, 2, 3),), labels=(1, 2, 3, NEGATIVE))
    assert len(SEEN) == 1
    assert values(found) == {1: 1.0, 2: 2.0, 3: 3.0}


def test_there_may_be_a_greatest_number_of_rounds() -> None:
    found = filter_texts(((1, 3), (3,)), rounds=2)
    assert len(SEEN) == 2
    assert values(found) == {1: 2.0, 3: 6.0}


def test_one_class_and_no_class() -> None:
    assert values(filter_texts(((2,), (2,)), present=(2,))) == {2: 4.0}
    assert filter_texts(((), ())).labels == ()
    assert SEEN == [((1, 2, 3), [0, 2, 4, 6, 7]), ((), [6, 7])]


def test_what_is_kept_inside_and_was_not_asked_for_is_left_out() -> None:
    filter_texts(((3, 1), (1, 2, 3)))
    assert [labels for labels, _ in SEEN] == [(1, 2, 3), (1, 3)]


@pytest.mark.parametrize(
    ("blank", "expected"),
    [
        ("keep", {3: 0.0}),
        ("previous", {3: 6.0}),
        ("released", {3: 2.0, 0: 6.0}),
    ],
)
def test_maps_of_zeros(blank: Any, expected: dict[int, float]) -> None:
    found = filter_texts(((1, 3), (3,), (3,)), blank_in=(2,), blank=blank)
    assert values(found) == expected


def test_maps_of_zeros_in_the_first_round_stay() -> None:
    assert values(filter_texts(((1, 2, 3),), blank_in=(0,), rounds=1)) == {1: 0, 2: 0, 3: 0}


def test_the_last_text_of_a_class_serves_all_later_rounds() -> None:
    assert wording((1, 2, 2, 3, 3, 3, NEGATIVE), (3, 1, 2), 1) == [4, 0, 2, 6]
    assert wording((1, 2, 2, 3, 3, 3, NEGATIVE), (3, 2), 9) == [5, 2, 6]
