"""What single sentences are worth to a class, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ovsskit.engine.values import Probabilities
from ovsskit.sentences.sureness import Expert, Sureness

HALVES = math.log(2)
NINE_TENTHS = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)


def maps(*places: tuple[float, ...], labels: tuple[int, ...] = (0, 1)) -> Probabilities:
    """Return the maps of an image of one row, from what stands at each place."""
    return Probabilities(torch.tensor(places).T[:, None].contiguous(), labels)


def test_the_mean_entropy_where_a_label_is_predicted() -> None:
    found = Sureness(sentences=1, labels=2)
    found.add(0, maps((0.9, 0.1), (0.1, 0.9), (0.0, 1.0)))
    [background], [dog] = found.experts(0, 4), found.experts(1, 4)
    assert (background.places, dog.places) == (1, 2)
    assert background.entropy == pytest.approx(NINE_TENTHS, abs=1e-6)
    assert dog.entropy == pytest.approx(NINE_TENTHS / 2, abs=1e-6)


def test_every_place_of_every_image_counts_the_same() -> None:
    found = Sureness(sentences=1, labels=2)
    found.add(0, maps((0.1, 0.9)))
    found.add(0, maps((0.0, 1.0), (0.0, 1.0)))
    [dog] = found.experts(1, 4)
    assert dog.places == 3
    assert dog.entropy == pytest.approx(NINE_TENTHS / 3, abs=1e-6)


def test_a_label_has_the_places_of_all_its_words() -> None:
    found = Sureness(sentences=1, labels=3)
    found.add(0, maps((0.5, 0.5, 0.0), (0.0, 0.5, 0.5), (1.0, 0.0, 0.0), labels=(2, 1, 1)))
    [first], [second] = found.experts(1, 4), found.experts(2, 4)
    assert (first.places, second.places) == (1, 2)  # of equal maps, the first has the place
    assert first.entropy == pytest.approx(HALVES, abs=1e-6)
    assert second.entropy == pytest.approx(HALVES / 2, abs=1e-6)
    assert found.experts(0, 4) == []


def test_the_surest_come_first_and_of_equals_the_first() -> None:
    found = Sureness(sentences=4, labels=2)
    for sentence, sure in enumerate((0.7, 0.9, 0.7, 0.8)):
        found.add(sentence, maps((1 - sure, sure)))
    assert [one.sentence for one in found.experts(1, 4)] == [1, 3, 0, 2]
    assert [one.sentence for one in found.experts(1, 3)] == [1, 3, 0]


def test_a_sentence_that_never_predicts_a_label_says_nothing_of_it() -> None:
    found = Sureness(sentences=2, labels=2)
    found.add(0, maps((1.0, 0.0)))
    found.add(1, maps((0.4, 0.6)))
    assert [one.sentence for one in found.experts(1, 4)] == [1]
    assert found.experts(0, 4) == [Expert(0, 0.0, 1)]


def test_maps_of_many_rows_are_looked_at_whole() -> None:
    data = torch.rand(3, 150, 5, generator=torch.Generator().manual_seed(0)).softmax(0)
    found = Sureness(sentences=1, labels=3)
    found.add(0, Probabilities(data, (0, 1, 2)))
    entropy = -(data * data.log()).sum(0)
    for label in range(3):
        mine = data.argmax(0) == label
        [one] = found.experts(label, 4)
        assert one.places == int(mine.sum())
        assert one.entropy == pytest.approx(float(entropy[mine].mean()), abs=1e-6)
