"""The recipes of CaR on images and lists of classes that are out of the ordinary."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from clip_twin import clip_twin

import ovsskit
from ovsskit.engine.driver import State
from ovsskit.engine.stage import Stage
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Present, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.testing import example

WORDS = make_vocabulary(["dog", "cat", "grass"], negatives=["road"])
TWINS = [
    f"{model}.{key}={value}"
    for model in ("backbone", "models.classifier")
    for key, value in (("weights", clip_twin()), ("model", ""))
]
SHORT = 'presence_by_sentences.templates=["a {}"]'


def load(*changes: str, recipe: str = "car", **how: Any) -> Pipeline:
    return ovsskit.load(recipe, *TWINS, SHORT, *changes, device="cpu", **how)


def noise(height: int, width: int) -> Image:
    draw = torch.Generator().manual_seed(4)
    return Image((torch.rand(3, height, width, generator=draw) * 255).round() / 255, "noise")


class Watch:
    """Note the classes of every round, and how many images are classified."""

    def __init__(self) -> None:
        self.rounds: list[tuple[int, ...]] = []
        self.passes = 0

    def __call__(self, stage: Stage, states: Sequence[State], seconds: float) -> None:
        if stage.address == "channel_cam":
            self.rounds += [state["present"].labels for state in states]
        self.passes += len(states) * (stage.address == "presence_by_sentences")


def run(
    pipeline: Pipeline, image: Image | None = None, words: Vocabulary = WORDS
) -> tuple[torch.Tensor, Watch]:
    watch = Watch()
    [state] = pipeline.run_many([image or example(Image)], words, watch)
    labels: torch.Tensor = state["labels"].ids
    assert set(labels.unique().tolist()) <= set(words.ids)
    return labels, watch


def test_the_best_class_is_kept_where_none_scores_enough() -> None:
    _, watch = run(load("presence_by_sentences.above=1.0"))
    assert [len(labels) for labels in watch.rounds] == [3, 1]
    assert watch.passes == 4


def test_all_classes_are_kept_for_two_rounds() -> None:
    _, watch = run(load("presence_by_sentences.above=0.0"))
    assert watch.rounds == [(1, 2, 3), (1, 2, 3)], "the second has another wording"
    assert watch.passes == 6


def test_a_round_of_the_same_wording_is_not_run_again() -> None:
    once = load("presence_by_sentences.above=0.0", 'encode_text.templates=["a clean origami {}."]')
    _, watch = run(once)
    assert watch.rounds == [(1, 2, 3)]


def test_what_a_store_holds_is_not_classified_again(tmp_path: Any) -> None:
    store = Store(tmp_path)
    pipeline = load(store=store)
    first, _ = run(pipeline)
    before = store.calls
    again, _ = run(pipeline)
    assert torch.equal(first, again)
    assert store.calls == before > 0


def test_one_class() -> None:
    labels, watch = run(load(), words=make_vocabulary(["dog"]))
    assert watch.rounds == [(1,), (1,)]
    assert labels.shape == example(Image).size


def test_an_image_that_is_said_to_show_no_class_is_background() -> None:
    class Nothing(Stage, writes="present"):
        """Take no class as present."""

        def run(self, image: Image) -> Present:
            return Present(())

    pipeline = load()
    stages = [Nothing() if stage.writes == "present" else stage for stage in pipeline.plan.stages]
    labels, watch = run(Pipeline.of(stages, pipeline.models, device="cpu"))
    assert not labels.any()
    assert watch.rounds == [()]


@pytest.mark.parametrize("size", [(5, 40), (40, 5), (8, 8), (1, 1)])
def test_images_smaller_than_a_patch(size: tuple[int, int]) -> None:
    labels, _ = run(load(), noise(*size))
    assert labels.shape == size
    assert not labels.any(), "the only row or column of patches is in no box"


def test_five_hundred_classes() -> None:
    words = make_vocabulary([f"class {number}" for number in range(500)])
    labels, watch = run(load("presence_by_sentences.above=0.02"), noise(32, 48), words)
    assert len(watch.rounds[0]) == 500
    assert watch.passes >= 500
    assert labels.shape == (32, 48)


def test_texts_longer_than_the_context_are_cut_and_said(caplog: pytest.LogCaptureFixture) -> None:
    words = make_vocabulary(["dog", " ".join(["very"] * 90) + " cat"])
    with caplog.at_level(logging.WARNING):
        run(load(), words=words)
    assert "the model reads 77 tokens: 1 of 2 texts are longer and lose their end" in caplog.text


def test_things_lie_over_stuff_in_one_image() -> None:
    names = ["dog", "grass", "sky", "cat"]
    pipeline = load(
        'things_over_stuff.stuff=["grass", "sky"]',
        "visual_prompts.marks_of={}",
        recipe="car_context60",
    )
    words = make_vocabulary(names, [7, 3, 9, 2])
    _, watch = run(pipeline, words=words)
    assert watch.rounds[:2] == [(1, 2), (1, 2)], "each run counts its own classes"
