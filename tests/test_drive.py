"""The driver runs level by level, in batches, and halves them when memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ovsskit.drive import Driver
from ovsskit.errors import OutOfMemory
from ovsskit.stage import Slots, Stage, Wrapper, Wraps
from ovsskit.testing import example
from ovsskit.values import Image, Saliency

SIZES: list[int] = []


class CountBatches(Stage, writes="scores"):
    """Write the picture as scores and note how many pictures came at once."""

    network = True
    limit: int = 99

    def run(self, image: Image) -> Saliency:
        return Saliency(image.data, (1, 2, 3))

    def run_many(self, many: Sequence[Slots]) -> list[Any]:
        if len(many) > self.limit:
            raise torch.OutOfMemoryError
        SIZES.append(len(many))
        return [self.run(**slots) for slots in many]


class Brighten(Wrapper, writes="scores"):
    """Ask for several brighter pictures, once in every round, and take the mean."""

    views: int = 3
    rounds: int = 1

    def run(self, image: Image) -> Wraps[Saliency]:
        total = []
        for _ in range(self.rounds):
            outs = yield [{"image": Image(image.data * (view + 1), image.name)} for view in range(self.views)]
            total += [out["scores"].data for out in outs]
        return Saliency(torch.stack(total).mean(0), (1, 2, 3))


def drive(stage: Stage, count: int = 2, batch: int = 8) -> list[Saliency]:
    SIZES.clear()
    states = [{"image": example(Image, seed)} for seed in range(count)]
    return [state["scores"] for state in Driver({}, {}, batch).run([stage], states)]


def test_views_and_pictures_share_batches() -> None:
    drive(Brighten(inner=(CountBatches(),)), count=4, batch=8)
    assert SIZES == [8, 4]


def test_nested_wrappers_share_batches() -> None:
    inner = Brighten(name="inner", views=2, inner=(CountBatches(),))
    drive(Brighten(inner=(inner,)), count=2, batch=12)
    assert SIZES == [12]


def test_rounds_run_together() -> None:
    drive(Brighten(rounds=3, views=1, inner=(CountBatches(),)), count=2)
    assert SIZES == [2, 2, 2]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_result_does_not_depend_on_batch(batch: int) -> None:
    stage = Brighten(views=2, rounds=2, inner=(CountBatches(),))
    for one, other in zip(drive(stage, 3, batch), drive(stage, 3, 99), strict=True):
        assert torch.equal(one.data, other.data)


def test_out_of_memory_halves_the_batch() -> None:
    drive(CountBatches(limit=3), count=9, batch=8)
    assert SIZES == [2, 2, 2, 2, 1]


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OutOfMemory, match="count_batches does not fit"):
        drive(CountBatches(limit=0))


def test_time_of_inner_stages_is_not_counted_twice() -> None:
    seen: dict[str, float] = {}

    def watch(stage: Stage, states: Sequence[Any], seconds: float) -> None:
        assert seconds >= 0
        seen[stage.address] = seen.get(stage.address, 0) + seconds

    driver = Driver({}, {}, 8, watch)
    driver.run([Brighten(inner=(CountBatches(),))], [{"image": example(Image)}])
    assert set(seen) == {"brighten", "count_batches"}
    assert driver.inner_seconds == pytest.approx(sum(seen.values()))
