from __future__ import annotations

import torch

from ovsskit.stages.maps.label_map import LabelMap
from ovsskit.values import Saliency
from ovsskit.vocabulary import make_vocabulary

WORDS = make_vocabulary(["a", "b", "c"], ids=[1, 9, 12])
SCORES = Saliency(torch.eye(3)[:, None], (0, 3, 1))
"""Three pixels, whose best maps are those of the background, of c (12) and of a (1)."""


def test_numbers_are_looked_up() -> None:
    assert LabelMap().run(SCORES, WORDS).data.tolist() == [[0, 12, 1]]


def test_in_place_numbers_collide_as_released() -> None:
    assert LabelMap(relabel="in_place").run(SCORES, WORDS).data.tolist() == [[0, 12, 12]]


def test_the_first_of_equals_wins() -> None:
    assert LabelMap().run(Saliency(torch.zeros(3, 2, 2), (3, 1, 2)), WORDS).data.unique().tolist() == [12]
