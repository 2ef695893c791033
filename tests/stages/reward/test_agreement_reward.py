from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from painter import VOCABULARY, Painter, stripes

from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Labels, Present, Vocabulary
from ovsskit.errors import BadInner, Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.reward.agreement_reward import AgreementReward, agreement, alter, restore
from ovsskit.stages.reward.clip_reward import ClipReward

ALL = ("horizontal_flip", "vertical_flip", "rotate_180", "brighter", "darker", "smaller")


class Reddest(Stage, writes="labels"):
    """Find red where an image is red; `seen` are the images."""

    seen: ClassVar[list[Image]] = []
    left_only: bool = False

    def run_batch(self, image: Batch[Image], vocabulary: Batch[Vocabulary]) -> Batch[Labels]:
        return [self._find(*pair) for pair in zip(image, vocabulary, strict=True)]

    def _find(self, image: Image, vocabulary: Vocabulary) -> Labels:
        self.seen.append(image)
        found = (image.data[0] > 0.5).long() * vocabulary.ids[1]
        if self.left_only:
            found[:, found.shape[1] // 2 :] = 0
        return Labels(found)


class Show(Stage, writes="present"):
    """Say that the image shows these classes."""

    which: tuple[int, ...] = (1,)

    def run(self, vocabulary: Vocabulary) -> Present:
        return Present(self.which)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    Reddest.seen.clear()


def run(*stages: Stage, image: Image, store: Store | None = None, **fields: Any) -> float:
    pipeline = Pipeline.of(
        [*stages, AgreementReward(**fields)], {}, VOCABULARY, device="cpu", store=store
    )
    [state] = pipeline.run_many([image], VOCABULARY)
    assert state["image"] is not None
    return float(state["reward"].data)


@pytest.mark.parametrize("name", ALL)
def test_labels_come_back_to_how_the_image_lies(name: str) -> None:
    image = Image(torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0)).round(), "dots")
    blocks = Image(image.data.repeat_interleave(8, 1).repeat_interleave(8, 2))
    altered = alter(blocks, name)
    found = restore((altered.data[0] > 0.5).long(), name, blocks.size)
    assert ((blocks.data[0] > 0.5).long() == found).double().mean() > 0.99
    assert not torch.equal(altered.data, blocks.data) or name in ("brighter", "darker"), (
        "black and white stay so"
    )


def test_agreement_is_the_mean_iou_of_classes() -> None:
    one, other = torch.tensor([[0, 4, 4, 9]]), torch.tensor([[0, 4, 9, 9]])
    assert agreement(one, other, None) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert agreement(one, other, [4]) == 1 / 2
    assert agreement(one, other, [4, 2]) == 1 / 4, "what is found nowhere agrees in nothing"
    assert agreement(torch.zeros(2, 2).long(), torch.zeros(2, 2).long(), None) == 0


def test_all_stages_before_it_run_again_on_altered_images() -> None:
    assert run(Reddest(), image=stripes("red", "green", "blue"), alterations=ALL) > 0.9
    assert len(Reddest.seen) == 1 + len(ALL)
    assert (
        run(Reddest(left_only=True), image=stripes("red", "red"), alterations=("horizontal_flip",))
        == 0
    )
    assert (
        run(Reddest(left_only=True), image=stripes("red", "red"), alterations=("vertical_flip",))
        == 1
    )


def test_the_classes_are_those_said_to_be_present() -> None:
    image = stripes("red", "green")
    assert run(Show(), Reddest(), image=image) == 1
    assert run(Show(which=(1, 2)), Reddest(), image=image) == 0.5
    assert math.isnan(run(Show(which=()), Reddest(), image=image))


def test_other_rewards_are_not_run_again() -> None:
    judge = Painter()
    stages = [Show(), Reddest(), ClipReward(), AgreementReward()]
    pipeline = Pipeline.of(stages, {"judge": judge}, VOCABULARY, device="cpu")
    pipeline.run_many([stripes("red", "green")], VOCABULARY)
    assert len(judge._seen) == 1
    assert len(Reddest.seen) == 4


def test_alterations_cost_network_calls_once() -> None:
    store, image = Store(), Image(stripes("red", "green").data * 0.9)
    for alterations in (("horizontal_flip",), ("horizontal_flip", "darker"), ("darker",)):
        run(Reddest(), image=image, store=store, alterations=alterations)
    assert (store.calls, store.hits) == (3, 4)


def test_it_has_no_inner_chain_of_its_own(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "quickstart.toml"\n[[stage]]\nuse = "agreement_reward"\n'
        'after = "label_map"\n[[stage.inner]]\nuse = "softmax"\n'
    )
    with pytest.raises(Problems) as caught:
        load_recipe(path)
    assert any(
        isinstance(problem, BadInner) and str(problem.where) == f"{path}:2"
        for problem in caught.value.problems
    )


def test_what_cannot_work_before_it_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "pnp_bridgetower.toml"\n[set]\n"select_head.layer" = 6\n'
        '[[stage]]\nuse = "agreement_reward"\nafter = "label_map"\n'
    )
    with pytest.raises(Problems) as caught:
        load_recipe(path)
    assert [str(problem.where) for problem in caught.value.problems] == [f"{path}:3"]


def test_a_recipe_with_it_runs() -> None:
    pipeline = Pipeline.of([Reddest(), AgreementReward()], {}, VOCABULARY, device="cpu")
    again = Pipeline.of(pipeline.plan.stages, {}, VOCABULARY, device="cpu")
    assert [type(one) for one in again.plan.stages[1].inner] == [Reddest]  # type: ignore[attr-defined]
