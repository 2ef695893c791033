"""The driver runs level by level, in batches, and halves them when memory runs out."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ovsskit.drive import Driver
from ovsskit.errors import OutOfMemory
from ovsskit.pipeline import Pipeline
from ovsskit.stage import Slots, Stage, Wrapper, Wraps
from ovsskit.testing import example
from ovsskit.values import Image, Present, Saliency, Vocabulary
from ovsskit.vocabulary import make_vocabulary

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
            outs = yield [
                {"image": Image(image.data * (view + 1), image.name)} for view in range(self.views)
            ]
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


class CountAlive(Stage, writes="scores"):
    """Write new scores and note of how many pictures the old ones are still held."""

    def run(self, scores: Saliency) -> Saliency:
        OLD.add(scores)
        SIZES.append(len(OLD))
        return scores.with_data(scores.data + 1)


OLD: weakref.WeakSet[Saliency] = weakref.WeakSet()


def test_what_is_replaced_is_given_back_picture_by_picture() -> None:
    SIZES.clear()
    states = [{"image": example(Image, seed)} for seed in range(4)]
    Driver({}, {}).run([CountBatches(), CountAlive()], states)
    assert SIZES[1:] == [1, 1, 1, 1]


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


class CountNames(Stage, writes="present"):
    """Take all classes as present, and note that it ran."""

    def run(self, vocabulary: Vocabulary) -> Present:
        SIZES.append(len(vocabulary.names))
        return Present(tuple(range(1, len(vocabulary.names) + 1)))


class NamesOnPicture(Stage, writes="scores"):
    """Write the picture as scores; it reads what is of no picture, too."""

    def run(self, image: Image, present: Present) -> Saliency:
        return Saliency(image.data * len(present.labels), (1, 2, 3))


class OtherWords(Wrapper, writes="scores"):
    """Run the inner chain with another vocabulary."""

    def run(self, vocabulary: Vocabulary) -> Wraps[Saliency]:
        [first, second] = yield [
            {"vocabulary": make_vocabulary(["a"])},
            {"vocabulary": make_vocabulary(["a", "b"])},
        ]
        return Saliency(first["scores"].data + second["scores"].data, (1, 2, 3))


def test_what_follows_from_the_vocabulary_alone_is_computed_once() -> None:
    SIZES.clear()
    pipeline = Pipeline(
        [CountNames(), NamesOnPicture()], vocabulary=make_vocabulary(["a", "b", "c"]), batch=2
    )
    images = [example(Image, seed) for seed in range(3)]
    for _ in range(2):
        states = pipeline.run_many(images, pipeline.vocabulary or make_vocabulary(["a"]))
        assert all(
            torch.equal(state["scores"].data, 3 * image.data)
            for state, image in zip(states, images, strict=True)
        )
    assert SIZES == [3]
    pixels = images[0].pixels.numpy()
    assert [
        len(pipeline(pixels, classes=names).slots["present"].labels) for names in ("a", "a", "ab")
    ] == [1, 1, 2]
    assert SIZES == [3, 1, 2]


def test_a_wrapper_that_changes_the_vocabulary_has_it_read_anew() -> None:
    SIZES.clear()
    pipeline = Pipeline([OtherWords(inner=(CountNames(), NamesOnPicture()))], batch=2)
    for seed in range(2):
        image = example(Image, seed)
        [state] = pipeline.run_many([image], make_vocabulary(["x"]))
        assert torch.equal(state["scores"].data, image.data * 3)
    assert SIZES == [1, 2, 1, 2]
