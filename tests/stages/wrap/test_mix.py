from __future__ import annotations

from typing import Literal

import pytest
import torch
from sampling import bilinear

from ovsskit.engine.values import Confidences
from ovsskit.errors import BadValue
from ovsskit.stages.wrap.mix import Mix


def noise(*size: int) -> Confidences:
    data = torch.rand(2, *size, generator=torch.Generator().manual_seed(size[0]))
    return Confidences(data, (1, 2))


def mix(stage: Mix, first: Confidences, other: Confidences) -> Confidences:
    """Return what the wrapper makes of scores and what its inner chain writes."""
    chain = stage.run(first)
    assert next(chain) == [{}]
    with pytest.raises(StopIteration) as finished:
        chain.send([{"scores": other}])
    found: Confidences = finished.value.value
    return found


@pytest.mark.parametrize("how", ["sum", "product"])
@pytest.mark.parametrize("size", [(3, 4), (6, 8)])
def test_the_other_is_enlarged_and_then_added_or_multiplied(
    how: Literal["sum", "product"], size: tuple[int, int]
) -> None:
    first, other = noise(6, 8), noise(*size)
    found = mix(Mix(how=how, weight=0.3), first, other)
    Confidences.check(found)
    enlarged = bilinear(other.data, (6, 8)).float()
    expected = 0.3 * enlarged + 0.7 * first.data if how == "sum" else enlarged * first.data
    torch.testing.assert_close(found.data, expected)
    assert found.labels == (1, 2)


def test_weights_at_the_ends_leave_one_of_them() -> None:
    first, other = noise(6, 8), noise(7, 8)
    assert torch.equal(mix(Mix(weight=0.0), first, other).data, first.data)
    found = mix(Mix(weight=1.0), first, other)
    torch.testing.assert_close(found.data, bilinear(other.data, (6, 8)).float())


@pytest.mark.parametrize("weight", [0.2, 1.0])
def test_the_other_is_stretched_to_the_range_of_all_maps_before(weight: float) -> None:
    first, other = noise(6, 8), noise(3, 4)
    narrow = first.with_data(0.4 + 0.1 * first.data)
    low, high = narrow.data.min(), narrow.data.max()
    whole = other.with_data((other.data - other.data.min()) / (other.data.max() - other.data.min()))
    found = mix(Mix(weight=weight, stretch=True), narrow, whole)
    stretched = bilinear(low + (high - low) * whole.data, (6, 8)).float()
    torch.testing.assert_close(found.data, weight * stretched + (1 - weight) * narrow.data)


def test_scores_of_other_texts_are_refused() -> None:
    first = noise(6, 8)
    for labels in ((2, 1), (1, 2, 2)):
        other = Confidences(torch.rand(len(labels), 6, 8), labels)
        with pytest.raises(BadValue, match="mix mixes scores of different texts"):
            mix(Mix(), first, other)
