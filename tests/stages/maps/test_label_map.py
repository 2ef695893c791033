from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import NEGATIVE, Image, Saliency
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.maps.label_map import LabelMap, best_map
from ovsskit.stages.maps.upsample import Align

WORDS = make_vocabulary(["a", "b", "c"], ids=[1, 9, 12])
WIDE = Image(torch.zeros(3, 1, 3))
SCORES = Saliency(torch.eye(3)[:, None], (0, 3, 1))
"""Three pixels, whose best maps are those of the background, of c (12) and of a (1)."""


def test_numbers_are_looked_up() -> None:
    assert LabelMap().run(SCORES, WORDS, WIDE).ids.tolist() == [[0, 12, 1]]


def test_in_place_numbers_collide_as_released() -> None:
    assert LabelMap(relabel="in_place").run(SCORES, WORDS, WIDE).ids.tolist() == [[0, 12, 12]]


def test_the_first_of_equals_wins() -> None:
    assert LabelMap().run(
        Saliency(torch.zeros(3, 2, 2), (3, 1, 2)), WORDS, Image(torch.zeros(3, 2, 2))
    ).ids.unique().tolist() == [12]


@pytest.mark.parametrize("align", ["corners", "edges"])
def test_small_maps_are_enlarged_as_all_at_once(align: Align) -> None:
    maps = torch.rand(5, 4, 6)
    enlarged = torch.nn.functional.interpolate(
        maps[None], (31, 47), mode="bilinear", align_corners=align == "corners"
    )[0]
    best, indices = best_map(maps, (31, 47), align)
    assert torch.equal(indices, enlarged.argmax(0))
    assert torch.equal(best, enlarged.amax(0))


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({"background_below_class": {"a": 0.29}}, [12, 12, 1]),
        ({"background_below_class": {"c": 0.25}}, [0, 12, 1]),
        ({"background_below_class": {"a": 0.3, "c": 0.2}}, [12, 12, 0]),
        ({"background_below": 0.295, "background_below_class": {"c": 0.1}}, [12, 12, 0]),
    ],
)
def test_a_class_has_its_own_least_score(fields: Any, ids: list[int]) -> None:
    scores = Saliency(torch.tensor([[[0.2, 0.3, 0.1]], [[0.1, 0.0, 0.29]]]), (3, 1))
    assert LabelMap(**fields).run(scores, WORDS, WIDE).ids.tolist() == [ids]


def test_places_without_a_confident_class_are_background() -> None:
    scores = Saliency(torch.tensor([[[0.2, 0.3, 0.1]], [[0.1, 0.0, 0.29]]]), (3, 1))
    assert LabelMap(background_below=0.3).run(scores, WORDS, WIDE).ids.tolist() == [[0, 12, 0]]
    large = Image(torch.zeros(3, 2, 6))
    assert LabelMap(background_below=0.5).run(scores, WORDS, large).ids.unique().tolist() == [0]


@pytest.mark.parametrize("size", [(1, 7), (2, 5), (1, 2)])
def test_labels_are_enlarged_by_nearest_neighbour(size: tuple[int, int]) -> None:
    """Between the first place and the last, bilinear maps would have a third class on top."""
    scores = Saliency(
        torch.tensor([[[1.0, 0.0, 0.0]], [[0.6, 0.0, 0.6]], [[0.0, 0.0, 1]]]), (1, 2, 3)
    )
    image = Image(torch.zeros(3, *size))
    found = LabelMap(enlarge="labels", background_below=0.5).run(scores, WORDS, image).ids
    one_row = [(1, 0, 12)[column * 3 // size[1]] for column in range(size[1])]
    assert found.tolist() == [one_row] * size[0]


def test_a_negative_is_never_an_answer() -> None:
    maps = torch.tensor([[[0.2, 0.3, 0.1]], [[0.9, 0.9, 0.9]], [[0.1, 0.0, 0.29]]])
    scores = Saliency(maps, (3, NEGATIVE, 1))
    without = Saliency(maps[[0, 2]], (3, 1))
    expected = LabelMap().run(without, WORDS, WIDE).ids
    assert torch.equal(LabelMap().run(scores, WORDS, WIDE).ids, expected)
    in_place = LabelMap(relabel="in_place")
    assert torch.equal(
        in_place.run(scores, WORDS, WIDE).ids, in_place.run(without, WORDS, WIDE).ids
    )
