from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ovsskit.engine.values import Saliency
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.maps.threshold import Threshold

VOCABULARY = make_vocabulary(["dog", "ice cream", "grass"])


def expected(plane: np.ndarray, at: float) -> np.ndarray:
    spread = np.ptp(plane)
    return (
        np.where((plane - plane.min()) >= at * spread, plane, 0) if spread else np.zeros_like(plane)
    )


def test_against_numpy_and_a_constant_map_is_zero() -> None:
    data = torch.rand(4, 5, 6)
    data[2] = 0.7
    found = Threshold(at=0.3).run(Saliency(data, (0, 1, 2, 3)), VOCABULARY).data.numpy()
    for plane, mine in zip(data.numpy(), found, strict=True):
        np.testing.assert_allclose(mine, expected(plane, 0.3), rtol=1e-6)


def test_a_class_has_its_own_fraction_whatever_the_order_of_maps() -> None:
    data = torch.rand(4, 5, 6)
    stage = Threshold(at=0.3, at_class={"ice cream": 0.8, "grass": 0.0})
    found = stage.run(Saliency(data, (3, 2, 0, 2)), VOCABULARY).data.numpy()
    for plane, mine, at in zip(data.numpy(), found, (0.0, 0.8, 0.3, 0.8), strict=True):
        np.testing.assert_allclose(mine, expected(plane, at), rtol=1e-6)


def test_without_fractions_of_classes_no_number_moves() -> None:
    data = torch.arange(21).float().view(1, 3, 7) / 20
    for at in (0.0, 0.15, 0.3, 0.35, 0.7, 1.0):  # as they are stored in 32 bits, some lie on it
        found = Threshold(at=at).run(Saliency(data, (1,)), VOCABULARY).data
        assert torch.equal(found, torch.where(data >= at, data, 0))


def test_what_is_the_same_as_for_all_classes_is_left_out() -> None:
    named = Threshold(at=0.3, at_class={"grass": 0.5, "dog": 0.3})
    assert repr(named) == repr(Threshold(at=0.3, at_class={"dog": 0.3, "grass": 0.5}))
    assert named.at_class == {"grass": 0.5}
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Threshold(at_class={"dog": 1.5})
