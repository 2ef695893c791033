"""The runner waits for the device no more than it must, and holds nothing of a group
that failed.
"""

from __future__ import annotations

import weakref
from pathlib import Path

import PIL.Image
import pytest
import torch
from toy_stages import ToyColours, ToyLabels, ToySoftmax

from ovsskit.engine.rendering import Reading
from ovsskit.engine.stage import Batch
from ovsskit.engine.values import Image, Saliency, Value, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.runner import Runner

HELD: list[weakref.ref[torch.Tensor]] = []


class FailTogether(ToyColours, writes="scores"):  # type: ignore[call-arg]
    """Fail at more than one image, and see that nothing of an earlier failure is left."""

    def run_batch(self, image: Batch[Image], vocabulary: Batch[Vocabulary]) -> Batch[Saliency]:
        assert [one() for one in HELD] == [None] * len(HELD)
        much = torch.zeros(len(image))
        HELD.append(weakref.ref(much))
        if len(image) > 1:
            raise ZeroDivisionError
        return super().run_batch(image, vocabulary)


def run(tmp_path: Path, stage: ToyColours, *, profile: bool = False, device: str = "cpu") -> Runner:
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path in paths:
        PIL.Image.new("RGB", (8, 6), "red").save(path)
    vocabulary = make_vocabulary(["red", "green"])
    pipeline = Pipeline.of([stage, ToySoftmax(), ToyLabels()], vocabulary=vocabulary, batch=2)
    pipeline.device = device
    folder = OutputFolder(tmp_path / "out", {})
    try:
        todo = folder.add(paths, frozenset(), [])
        runner = Runner(
            pipeline, folder, vocabulary, Reading(), profile, lambda _: None, lambda: None
        )
        runner.run(todo)
        assert {one.state for one in folder.records.values()} == {"done"}
    finally:
        folder.close()
    return runner


def test_nothing_of_a_group_that_failed_is_held_while_its_images_run_alone(
    tmp_path: Path,
) -> None:
    HELD.clear()
    run(tmp_path, FailTogether())
    assert len(HELD) == 6


@pytest.mark.parametrize("profile", [False, True])
def test_the_device_is_waited_for_after_every_stage_only_to_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: bool
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7)
    monkeypatch.setattr(Value, "to", lambda self, device: self)
    runner = run(tmp_path, ToyColours(), profile=profile, device="cuda:1")
    assert waited == ["cuda:1"] * (6 if profile else 0)
    assert set(runner.costs.stages) == (
        {"toy_colours", "toy_softmax", "toy_labels"} if profile else set()
    )
    assert runner.costs.seconds > 0
    assert runner.costs.peak_device_memory == 7
