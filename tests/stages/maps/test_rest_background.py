from __future__ import annotations

import torch

from ovsskit.engine.values import Confidences, Saliency
from ovsskit.stages.maps.rest_background import RestBackground

MAPS = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_the_background_gets_what_the_best_class_leaves() -> None:
    found = RestBackground().run(Saliency(MAPS, (2, 1, 3)))
    assert isinstance(found, Confidences)
    assert found.labels == (0, 2, 1, 3)
    assert torch.equal(found.data[1:], MAPS)
    assert torch.equal(found.data[0], 1 - MAPS.amax(0))


def test_maps_in_half_precision() -> None:
    found = RestBackground(precision="half").run(Saliency(MAPS, (1, 2, 3))).data
    half = MAPS.half()
    assert found.dtype == MAPS.dtype
    assert torch.equal(found[1:], half.float())
    assert torch.equal(found[0], (1 - half.amax(0)).float())


def test_without_a_background_and_with_one() -> None:
    found = RestBackground(when="never").run(Saliency(MAPS, (1, 2, 3)))
    assert found.labels == (1, 2, 3)
    assert torch.equal(found.data, MAPS)
    kept = RestBackground().run(Saliency(MAPS[:1], (0,)))
    assert kept.labels == (0,)
    assert torch.equal(kept.data, MAPS[:1])


def test_maps_that_only_end_with_one_of_the_background_get_another() -> None:
    found = RestBackground().run(Saliency(MAPS, (2, 0, 0)))
    assert found.labels == (0, 2, 0, 0)
    assert torch.equal(found.data[0], 1 - MAPS.amax(0))
