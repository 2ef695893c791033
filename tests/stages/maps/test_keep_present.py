from __future__ import annotations

import torch

from ovsskit.engine.values import Logits, Present, Probabilities
from ovsskit.engine.values.vocabulary import NEGATIVE
from ovsskit.stages.maps.keep_present import KeepPresent

MAPS = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))


def test_absent_classes_are_left_out_and_what_competes_stays() -> None:
    scores = Logits(MAPS, (0, 3, 1, NEGATIVE, 3))
    found = KeepPresent().run(scores, Present((3, 2)))
    assert isinstance(found, Logits)
    assert found.labels == (0, 3, NEGATIVE, 3)
    assert torch.equal(found.data, MAPS[[0, 1, 3, 4]])


def test_all_classes_leave_the_maps_as_they_are() -> None:
    scores = Logits(MAPS, (0, 3, 1, NEGATIVE, 3))
    found = KeepPresent().run(scores, Present((1, 2, 3)))
    assert found.labels == scores.labels
    assert torch.equal(found.data, MAPS)


def test_an_image_that_shows_nothing_is_background() -> None:
    found = KeepPresent().run(Probabilities(MAPS[:2], (1, NEGATIVE)), Present(()))
    assert found.labels == (0,)
    assert torch.equal(found.data, torch.ones(1, 4, 6))
    kept = KeepPresent().run(Probabilities(MAPS[:2], (0, 1)), Present(()))
    assert kept.labels == (0,)
    assert torch.equal(kept.data, MAPS[:1])
