"""The driver runs level by level, in batches, and halves them when memory runs out."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Batch, Stage, Wrapper, Wraps
from ovsskit.engine.values import Image, Present, Saliency, Vocabulary
from ovsskit.errors import OutOfMemory
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.testing import example

SIZES: list[int] = []


class CountBatches(Stage, writes="scores"):
    """Write the image as scores and note how many images came at once."""

    limit: int = 99

    def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
        if len(image) > self.limit:
            raise torch.OutOfMemoryError("4 GB wanted")
        SIZES.append(len(image))
        return [Saliency(one.data, (1, 2, 3)) for one in image]


class Brighten(Wrapper, writes="scores"):
    """Ask for several brighter images, once in every round, and take the mean."""

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


def test_views_and_images_share_batches() -> None:
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
    """Write new scores and note of how many images the old ones are still held."""

    def run(self, scores: Saliency) -> Saliency:
        OLD.add(scores)
        SIZES.append(len(OLD))
        return scores.with_data(scores.data + 1)


OLD: weakref.WeakSet[Saliency] = weakref.WeakSet()


def test_what_is_replaced_is_given_back_image_by_image() -> None:
    SIZES.clear()
    states = [{"image": example(Image, seed)} for seed in range(4)]
    Driver({}, {}).run([CountBatches(), CountAlive()], states)
    assert SIZES[1:] == [1, 1, 1, 1]


def test_out_of_memory_halves_the_batch() -> None:
    drive(CountBatches(limit=3), count=9, batch=8)
    assert SIZES == [2, 2, 2, 2, 1]


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OutOfMemory, match="count_batches does not fit") as caught:
        drive(CountBatches(limit=0))
    assert caught.value.there == "4 GB wanted"


HELD: list[weakref.ref[torch.Tensor]] = []
FULL = [
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
]


class HoldMuch(CountBatches, writes="scores"):
    """Hold a tensor for each batch, and see at every attempt that none of an earlier
    one is left.
    """

    error: int = 0
    in_a_cycle: bool = False

    def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
        assert [one() for one in HELD] == [None] * len(HELD)
        much = torch.zeros(len(image))
        HELD.append(weakref.ref(much))
        if len(image) > self.limit:
            error = type(FULL[self.error])(*FULL[self.error].args)
            if self.in_a_cycle:
                error.cycle = error  # type: ignore[attr-defined]
            raise error
        return super().run_batch(image)


@pytest.mark.parametrize(
    ("error", "in_a_cycle"), [(0, True), *((error, False) for error in range(len(FULL)))]
)
def test_nothing_of_a_batch_that_did_not_fit_is_held_while_a_smaller_one_runs(
    error: int, in_a_cycle: bool
) -> None:
    HELD.clear()
    gc.disable()
    try:
        drive(HoldMuch(limit=2, error=error, in_a_cycle=in_a_cycle), count=5, batch=4)
    finally:
        gc.enable()
    assert len(HELD) == 4  # 4 of them did not fit
    assert SIZES == [2, 2, 1]


def test_an_error_that_is_not_of_memory_is_not_tried_again() -> None:
    class Wrong(CountBatches, writes="scores"):
        def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
            SIZES.append(len(image))
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        drive(Wrong())
    assert SIZES == [2]


def test_a_batch_that_did_not_fit_is_not_tried_with_the_next_group(
    caplog: pytest.LogCaptureFixture,
) -> None:
    HELD.clear()
    SIZES.clear()
    pipeline = Pipeline.of([HoldMuch(limit=3)], vocabulary=make_vocabulary(["a"]), batch=12)
    images = [example(Image, seed) for seed in range(6)]
    for some in (images[:5], images, images):
        pipeline.run_many(some, make_vocabulary(["a"]))
    assert SIZES == [2, 2, 1, 2, 2, 2, 2, 2, 2]
    assert len(HELD) == 1 + len(SIZES)
    assert pipeline.batch == 2
    [note] = caplog.messages
    assert note == (
        "memory ran out in hold_much; from now on networks get 2 items at once, as with --batch 2"
    )


def test_one_item_that_never_fits_does_not_make_the_batches_of_the_others_smaller() -> None:
    pipeline = Pipeline.of([CountBatches(limit=0)], vocabulary=make_vocabulary(["a"]), batch=2)
    with pytest.raises(OutOfMemory):
        pipeline.run_many([example(Image, seed) for seed in range(2)], make_vocabulary(["a"]))
    assert pipeline.batch == 2


@pytest.mark.parametrize("timed", [False, True])
def test_the_device_is_waited_for_only_where_stages_are_timed(
    monkeypatch: pytest.MonkeyPatch, timed: bool
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    watched: list[str] = []
    driver = Driver({}, {}, 2, lambda stage, *_: watched.append(stage.address), device="cuda:1")
    driver.timed = timed
    states = [{"image": example(Image, seed)} for seed in range(2)]
    driver.run([Brighten(inner=(CountBatches(),)), CountAlive()], states)
    assert len(watched) == 5  # six views in batches of two, what merges them, and the last
    assert waited == ["cuda:1"] * (5 if timed else 0)


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


class NamesOnImage(Stage, writes="scores"):
    """Write the image as scores; it reads what is of no image, too."""

    def run(self, image: Image, present: Present) -> Saliency:
        return Saliency(image.data * len(present.labels), (1, 2, 3))


class LookTwice(Wrapper, writes="scores"):
    """Run the inner chain as it is, then on the negative."""

    def run(self, image: Image, present: Present | None = None) -> Wraps[Saliency]:
        [first] = yield [{}]
        [second] = yield [{"image": Image(1 - image.data)}]
        return Saliency(first["scores"].data * 10 + second["scores"].data, (1, 2, 3))


class Plain(Stage, writes="scores"):
    """Write the image as scores, brighter if some class is present."""

    def run_batch(self, image: Batch[Image], present: Batch[Present | None]) -> Batch[Saliency]:
        counts = [len(one.labels) if one else 0 for one in present]
        pairs = zip(image, counts, strict=True)
        return [Saliency(one.data + count, (1, 2, 3)) for one, count in pairs]


def test_the_inner_chain_sees_what_the_wrapper_read() -> None:
    small, large = Image(torch.rand(3, 4, 6)), Image(torch.rand(3, 12, 18))
    reads = {"image": "resized", "present": "found"}
    stage = LookTwice(inner=(LookTwice(name="deeper", inner=(Plain(),)),), reads=reads)
    state = {"image": large, "resized": small, "present": Present((1, 2))}
    [found, missing] = Driver({}, {}).run([stage], [{**state, "found": Present((1,))}, state])
    one, other = 10 * small.data + 1 - small.data, 10 * (1 - small.data) + small.data
    torch.testing.assert_close(missing["scores"].data, 10 * one + other)
    torch.testing.assert_close(found["scores"].data, 10 * (one + 11) + other + 11)
    assert found["image"] is large


class CountSize(Stage, writes="scores"):
    """Write a map of the image's size, and note how often."""

    def run_batch(self, vocabulary: Batch[Vocabulary]) -> Batch[Saliency]:
        counts = [len(one.names) for one in vocabulary]
        SIZES.extend(counts)
        return [Saliency(torch.full((1, 2, 2), float(count)), (1,)) for count in counts]


class SameWords(Wrapper, writes="scores"):
    """Run the inner chain once, as it is."""

    def run(self, vocabulary: Vocabulary) -> Wraps[Saliency]:
        [out] = yield [{}]
        scores: Saliency = out["scores"]
        return scores


def test_what_is_shared_is_shared_under_its_other_name_and_what_is_not_is_not() -> None:
    SIZES.clear()
    states = [
        {"vocabulary": make_vocabulary(["a"]), "words": make_vocabulary(["a", "b"])}
        for _ in range(2)
    ]
    states[1]["words"] = make_vocabulary(["a", "b", "c"])
    stage = SameWords(reads={"vocabulary": "words"}, inner=(CountSize(),))
    found = Driver({}, {}).run([stage], states)
    assert [float(state["scores"].data.mean()) for state in found] == [2, 3]
    SIZES.clear()
    Driver({}, {}).run([stage], [states[0]] * 3, frozenset({"vocabulary", "words"}))
    assert SIZES == [2]


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
    pipeline = Pipeline.of(
        [CountNames(), NamesOnImage()], vocabulary=make_vocabulary(["a", "b", "c"]), batch=2
    )
    images = [example(Image, seed) for seed in range(3)]
    for _ in range(2):
        states = pipeline.run_many(images, pipeline.plan.vocabulary)
        assert all(
            torch.equal(state["scores"].data, 3 * image.data)
            for state, image in zip(states, images, strict=True)
        )
    assert SIZES == [3]
    pixels = images[0].pixels.numpy()
    assert [
        len(pipeline(pixels, classes=names).slots["present"].labels) for names in ("a", "a", "a, b")
    ] == [1, 1, 2]
    assert SIZES == [3, 1, 2]


def test_a_wrapper_that_changes_the_vocabulary_has_it_read_anew() -> None:
    SIZES.clear()
    pipeline = Pipeline.of([OtherWords(inner=(CountNames(), NamesOnImage()))], batch=2)
    for seed in range(2):
        image = example(Image, seed)
        [state] = pipeline.run_many([image], make_vocabulary(["x"]))
        assert torch.equal(state["scores"].data, image.data * 3)
    assert SIZES == [1, 2, 1, 2]
