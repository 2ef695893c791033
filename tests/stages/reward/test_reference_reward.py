from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from painter import BLUE, GREEN, RED, VOCABULARY, labels

from ovsskit.engine.values import Labels, Vocabulary
from ovsskit.errors import Problems
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.stages.reward.reference_reward import ReferenceReward, places
from ovsskit.testing import ToyScores

IDS = torch.tensor(VOCABULARY.ids)
seeds = st.integers(0, 2**32 - 1)


def reward(found: Labels, reference: Labels, vocabulary: Vocabulary = VOCABULARY) -> float:
    return float(ReferenceReward().run(found, reference, vocabulary).data)


def noise(seed: int, kinds: int = 4) -> torch.Tensor:
    return IDS[torch.from_numpy(np.random.default_rng(seed).integers(0, kinds, (5, 6)))]


def test_it_is_the_mean_iou_of_the_classes_that_the_reference_shows() -> None:
    reference = labels(RED, RED, GREEN)
    assert reward(reference, reference) == 1
    assert reward(labels(RED, GREEN, GREEN), reference) == 0.5, "half of each"
    assert reward(labels(GREEN, GREEN, RED), reference) == 0
    assert reward(labels(RED, BLUE, GREEN), reference) == 0.75, "blue lacks in red alone"
    assert reward(labels(RED, RED, 0), reference) == 0.5, "the green is missed"


def test_the_background_is_a_class_that_the_reference_shows() -> None:
    reference = labels(0, 0, RED)
    assert reward(labels(0, RED, RED), reference) == 0.5
    assert reward(labels(0, 0, 0), reference) == pytest.approx((2 / 3 + 0) / 2)


def test_what_is_found_where_the_reference_shows_nothing_is_judged_too() -> None:
    nothing = labels(0, 0, 0)
    assert reward(nothing, nothing) == 1
    assert reward(labels(0, 0, GREEN), nothing) == pytest.approx(2 / 3)
    assert reward(labels(RED, RED, GREEN), nothing) == 0


def test_ids_that_are_not_in_the_vocabulary() -> None:
    assert reward(labels(RED, GREEN, BLUE), labels(RED, 255, GREEN)) == 0.5, "counts nowhere"
    assert reward(labels(RED, 255, 77), labels(RED, RED, GREEN)) == pytest.approx(0.5 / 2)
    assert math.isnan(reward(labels(RED, GREEN, BLUE), labels(255, 255, 255)))
    assert places(torch.tensor([[RED, 0, 77, 255, -1, -2, 10]]), VOCABULARY.ids).tolist() == [
        [1, 0, -1, -1, -1, -1, -1]
    ]


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_it_is_the_mean_iou_counted_class_by_class(seed: int, kinds: int, others: int) -> None:
    found, reference = noise(seed, kinds), noise(seed + 1, others)
    ious = []
    for number in reference.unique():
        one, other = found == number, reference == number
        ious.append(float((one & other).sum() / (one | other).sum()))
    value = reward(Labels(found), Labels(reference))
    assert value == pytest.approx(sum(ious) / len(ious))
    assert 0 <= value <= 1


@given(seeds, st.permutations(range(1, 4)))
def test_numbers_of_classes_mean_nothing(seed: int, order: list[int]) -> None:
    found, reference = noise(seed), noise(seed + 1)
    value = reward(Labels(found), Labels(reference))
    renumbered = make_vocabulary(list("abc"), tuple(100 * number for number in order))
    table = torch.zeros(10, dtype=torch.int64)
    table[IDS] = torch.tensor(renumbered.ids)
    again = reward(Labels(table[found]), Labels(table[reference]), renumbered)
    assert again == pytest.approx(value)


def test_labels_of_another_size_are_brought_to_the_references() -> None:
    reference = labels(RED, RED, GREEN)
    assert reward(labels(RED, RED, GREEN, size=12), reference) == 1
    assert reward(labels(RED, RED, GREEN, size=3), reference) == 1
    assert reward(labels(RED, GREEN, GREEN, size=3), reference) == 0.5


@pytest.mark.parametrize("kind", [torch.int8, torch.int16, torch.int32])
def test_ids_may_be_of_any_whole_numbers(kind: torch.dtype) -> None:
    large = make_vocabulary(["red"], (300,))
    reference = Labels(labels(0, 0, 9).ids.to(kind))
    assert reward(Labels(labels(0, 9, 9).ids.to(kind)), reference) == 0.5
    assert reward(Labels(labels(0, 9, 9).ids.to(kind)), reference, large) == 0.5, "0 alone counts"


def test_without_a_reference_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(Problems) as caught:
        Pipeline.of([ToyScores(), LabelMap(), ReferenceReward()], {}, VOCABULARY)
    assert "reads `reference` (Labels); nothing above writes it" in str(caught.value.problems[0])
