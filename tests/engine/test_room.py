"""Networks get as many items as memory holds, by what earlier ones took of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine.devices import Memory, choose_batch
from ovsskit.engine.driver import Driver
from ovsskit.engine.room import FIRST, Room, kind_of
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Saliency
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.testing import example


@dataclass
class FakeGpu:
    """A device with so many bytes, of which `held` are somebody else's."""

    bytes: int = 1000
    held: int = 0
    peak: int = 0
    ran: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def memory(self, device: str) -> Memory:
        return Memory(self.bytes - self.held, 0, self.peak)

    def take(self, wanted: int, count: int) -> None:
        if wanted > self.bytes - self.held:
            self.refused.append(count)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.peak = max(self.peak, wanted)
        self.ran.append(count)


GPU = FakeGpu()


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    GPU.__init__()  # type: ignore[misc]
    monkeypatch.setattr("ovsskit.engine.room.memory_of", GPU.memory)
    return GPU


class Hungry(Stage, writes="scores"):
    """Take memory for every item, and write what follows from it alone."""

    bytes_of_one: int = 50

    def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
        GPU.take(self.bytes_of_one * len(image), len(image))
        return [Saliency(one.data * 2, (1, 2, 3)) for one in image]


def drive(stage: Stage, count: int, batch: int = 64, store: Store | None = None) -> Driver:
    driver = Driver({}, {}, batch, room=Room("cuda:0"), store=store)
    states = [{"image": example(Image, seed)} for seed in range(count)]
    found = driver.run([stage], states)
    for one, state in zip(found, states, strict=True):
        assert torch.equal(one["scores"].data, state["image"].data * 2)
    return driver


def test_what_is_not_known_is_tried_with_few(gpu: FakeGpu) -> None:
    drive(Hungry(), 50)
    assert gpu.ran == [FIRST, 15, 15, 15, 1]  # a fifth of the memory stays free
    assert not gpu.refused


def test_no_more_than_the_batch_run_together(gpu: FakeGpu) -> None:
    drive(Hungry(bytes_of_one=1), 20, batch=6)
    assert gpu.ran == [FIRST, 6, 6, 4]


def test_another_stages_peak_is_seen_through_in_the_end(gpu: FakeGpu) -> None:
    gpu.peak = 400
    drive(Hungry(bytes_of_one=1), 100)
    assert gpu.ran == [4, 7, 13, 25, 47, 4]


@given(st.integers(1, 300), st.integers(0, 900), st.integers(0, 40), st.integers(1, 70))
def test_every_item_runs_once_and_memory_never_runs_out(
    bytes_of_one: int, held: int, count: int, batch: int
) -> None:
    GPU.__init__(held=held)  # type: ignore[misc]
    if bytes_of_one * FIRST <= 1000 - held:
        drive(Hungry(bytes_of_one=bytes_of_one), count, batch)
        assert sum(GPU.ran) == count
        assert not GPU.refused


def test_memory_that_somebody_else_takes_is_backed_off_from(gpu: FakeGpu) -> None:
    driver = drive(Hungry(), 10)
    gpu.held, gpu.ran = 930, []  # one item fits, and nobody told
    store, room = Store(), driver.room
    room.costs = dict.fromkeys(room.costs, 1)
    driver = Driver({}, {}, 8, room=room, store=store)
    states = [{"image": example(Image, seed)} for seed in range(5)]
    found = driver.run([Hungry()], states)
    assert gpu.refused == [5, 2]
    assert gpu.ran == [1] * 5
    for one, state in zip(found, states, strict=True):
        assert torch.equal(one["scores"].data, state["image"].data * 2)
    assert store.calls == 5
    driver.run([Hungry()], states)
    assert gpu.ran == [1] * 5  # all five were kept, each under its own key
    assert store.hits == 5


def test_larger_images_are_of_another_kind() -> None:
    small, large = (Image(torch.zeros(3, side, side)) for side in (16, 64))
    assert kind_of(Hungry(), {"image": small}) != kind_of(Hungry(), {"image": large})


def test_what_was_learned_stays_with_the_pipeline(gpu: FakeGpu) -> None:
    words = make_vocabulary(["a"])
    pipeline = Pipeline.of([Hungry()], vocabulary=words, batch=64, device="cpu")
    images = [example(Image, seed) for seed in range(20)]
    pipeline.run_many(images, words)
    pipeline.run_many(images, words)
    assert gpu.ran == [FIRST, 15, 1, 15, 5]


def test_auto_leaves_it_to_memory_on_a_gpu() -> None:
    assert [choose_batch("auto", device) for device in ("cpu", "mps", "cuda:1")] == [4, 32, 64]
