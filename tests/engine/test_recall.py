"""What networks wrote before is not computed again: by key, item by item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import torch
from pydantic import Field, PrivateAttr

import ovsskit
from ovsskit.engine import digests
from ovsskit.engine.driver import Driver
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.engine.stage import Batch, PathOfRecipe, S, Stage, Wrapper, Wraps
from ovsskit.engine.store import Store
from ovsskit.engine.values import CrossAttention as Attention
from ovsskit.engine.values import Image, Saliency, TextFeatures, Vocabulary
from ovsskit.run.pipeline import Pipeline
from ovsskit.stages.maps.grad_cam import GradCam
from ovsskit.stages.maps.merge_tokens import MergeTokens
from ovsskit.stages.maps.select_head import SelectHead
from ovsskit.stages.maps.threshold import Threshold
from ovsskit.stages.network.cross_attend import CrossAttend
from ovsskit.stages.presence.all_classes import AllClasses
from ovsskit.stages.presence.presence_from_file import PresenceFromFile
from ovsskit.stages.text.write_captions import WriteCaptions
from ovsskit.stages.wrap.salience_dropout import SalienceDropout
from ovsskit.testing import ToyBackbone, example, fingerprint


class Counting(ToyBackbone):
    """Note how many items the network saw at each call."""

    _batches: list[int] = PrivateAttr(default_factory=list)

    def to(self, device: str) -> Counting:
        return self

    def cross_attention(
        self, images: Sequence[Image], captions: Any, **keywords: Any
    ) -> list[Attention]:
        self._batches.append(len(images))
        return super().cross_attention(images, captions, **keywords)


class Look(Stage, writes="scores"):
    """Stand for a network that scores an image by brightness."""

    seen: ClassVar[list[int]] = []

    power: Annotated[float, Field(description="some number")] = 1.0

    def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
        self.seen.append(len(image))
        return [Saliency(one.data**self.power, (1, 2, 3)) for one in image]


class ReadText(Stage, writes="text_features"):
    """Stand for a network that reads a file and the vocabulary."""

    seen: ClassVar[list[int]] = []

    file: PathOfRecipe = ""

    def run_batch(self, vocabulary: Batch[Vocabulary]) -> Batch[TextFeatures]:
        self.seen.append(len(vocabulary))
        counts = [len(one.names) for one in vocabulary]
        return [TextFeatures(torch.ones(count, 2), tuple(range(count))) for count in counts]


class Solve(Stage, writes="scores"):
    """Stand for a slow solver without a network."""

    seen: ClassVar[list[int]] = []

    def run_batch(self, scores: Batch[S]) -> Batch[S]:
        self.seen.extend(1 for _ in scores)
        return scores


class Windows(Wrapper, writes="scores"):
    """Cut the image into overlapping windows and put the scores together."""

    neutral: ClassVar[dict[str, Any]] = {"width": 99}

    width: int = 16
    stride: int = 4

    def run(self, image: Image) -> Wraps[S]:
        starts = range(0, max(1, image.size[1] - self.width), self.stride)
        outs = yield [
            {"image": Image(image.data[:, :, at : at + self.width], image.name)} for at in starts
        ]
        total = sum(float(out["scores"].data.sum()) for out in outs)
        scores: S = outs[0]["scores"]
        return scores.with_data(scores.data * total)


class Views(Wrapper, writes="scores"):
    """Score brighter images too, and average with weights."""

    weight: float = 0.5

    def run(self, image: Image) -> Wraps[S]:
        plain, bright = yield [{}, {"image": Image(image.data * 2, image.name)}]
        scores: S = plain["scores"]
        return scores.with_data(
            scores.data * self.weight + bright["scores"].data * (1 - self.weight)
        )


class InPlace(Wrapper, writes="scores"):
    """Hide more and more patches, in the same tensor."""

    def run(self, image: Image) -> Wraps[S]:
        hidden = torch.zeros(2, 2, dtype=torch.bool)
        for patch in range(4):
            hidden.view(-1)[patch] = True
            [out] = yield [{"image": image.hide(hidden)}]
        scores: S = out["scores"]
        return scores


class LookAround(Look, writes="scores"):
    """Stand for a network that sees which patches are hidden."""

    seen: ClassVar[list[int]] = []

    def run_batch(self, image: Batch[Image]) -> Batch[Saliency]:
        seen = super().run_batch(image)
        hidden = [one.hidden.sum() for one in image if one.hidden is not None]
        return [one.with_data(one.data * many) for one, many in zip(seen, hidden, strict=True)]


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    for cls in (Look, LookAround, ReadText, Solve):
        cls.seen.clear()


IMAGES = [example(Image, seed) for seed in (0, 7)]
VOCABULARY = example(Vocabulary)


def run(
    stages: Sequence[Stage],
    store: Store | None,
    images: Sequence[Image] = IMAGES,
    batch: int = 8,
    **models: Any,
) -> Any:
    pipeline = Pipeline.of(stages, models, VOCABULARY, device="cpu", batch=batch, store=store)
    return [
        fingerprint(state[stages[-1].writes]) for state in pipeline.run_many(images, VOCABULARY)
    ]


def dropout(rounds: int = 3, at: float = 0.15, head: int = 0, **fields: Any) -> list[Stage]:
    inner = (CrossAttend(layers="all", **fields), SelectHead(layer=8, head=head), GradCam())
    wrapper = SalienceDropout(rounds=rounds, schedule="fixed", patches=2, inner=inner)
    return [AllClasses(), WriteCaptions(), wrapper, MergeTokens(), Threshold(at=at)]


def test_a_change_downstream_runs_no_network() -> None:
    store, backbone = Store(), Counting()
    run(dropout(), store, backbone=backbone)
    assert backbone._batches == [2, 2, 2]
    assert run(dropout(at=0.7), store, backbone=backbone) == run(
        dropout(at=0.7), None, backbone=Counting()
    )
    assert backbone._batches == [2, 2, 2]
    assert (store.calls, store.hits) == (6, 6)


def test_more_rounds_cost_their_own_calls_and_fewer_none() -> None:
    store, backbone = Store(), Counting()
    run(dropout(3), store, backbone=backbone)
    del backbone._batches[:]
    assert run(dropout(5), store, backbone=backbone) == run(dropout(5), None, backbone=Counting())
    assert backbone._batches == [2, 2], "two rounds more, of both images"
    assert run(dropout(2), store, backbone=backbone) == run(dropout(2), None, backbone=Counting())
    assert backbone._batches == [2, 2]


def test_another_head_looks_again_from_the_second_round_on() -> None:
    store, backbone = Store(), Counting()
    run(dropout(3), store, backbone=backbone)
    del backbone._batches[:]
    run(dropout(3, head=3), store, backbone=backbone)
    assert backbone._batches == [2, 2]


def test_a_field_of_the_network_stage_counts() -> None:
    store, backbone = Store(), Counting()
    run(dropout(1), store, backbone=backbone)
    run(dropout(1, objective="match_loss"), store, backbone=backbone)
    assert backbone._batches == [2, 2]


def test_neither_names_nor_batches_count() -> None:
    store = Store()
    alone = [run([Look(name="first")], store, [image], batch=1) for image in IMAGES]
    assert run([Look(name="second")], store) == [one for [one] in alone]
    assert Look.seen == [1, 1]
    assert {name: (count.calls, count.hits) for name, count in store.counts.items()} == {
        "first": (2, 0),
        "second": (0, 2),
    }


def test_neither_does_the_name_of_the_slot_that_is_written() -> None:
    store = Store()
    run([Look(name="first")], store)
    run([Look(name="second", writes="others"), Solve(reads={"scores": "others"})], store)
    assert store.counts["second"].calls == 0


def test_only_what_is_missing_is_batched() -> None:
    store = Store()
    images = [example(Image, seed) for seed in range(6)]
    run([Look()], store, images[1:4:2])
    assert run([Look()], store, images) == run([Look()], None, images)
    assert Look.seen == [2, 4, 6]


def test_equal_items_are_run_once() -> None:
    store = Store()
    run([Look()], store, [IMAGES[0]] * 5)
    run([ReadText()], store, IMAGES)
    assert Look.seen == [1]
    assert ReadText.seen == [1], "what follows from the vocabulary alone is the same for all images"
    assert (store.calls, store.hits) == (2, 5)


def test_windows_with_a_larger_stride_are_known() -> None:
    store = Store()
    run([Windows(stride=4, inner=(Look(),))], store)
    fine = sum(Look.seen)
    assert run([Windows(stride=8, inner=(Look(),))], store) == run(
        [Windows(stride=8, inner=(Look(),))], None
    )
    assert (fine, store.calls) == (10, 10)


def test_weights_of_views_in_windows_cost_nothing() -> None:
    store = Store()
    nested = [[Windows(inner=(Views(weight=weight, inner=(Look(),)),))] for weight in (0.5, 0.7)]
    run(nested[0], store)
    del Look.seen[:]
    found = run(nested[1], store)
    assert Look.seen == []
    assert found == run(nested[1], None)


def test_a_tensor_changed_in_place_is_no_other_ones_hit() -> None:
    stage = InPlace(inner=(LookAround(),))
    assert run([stage], Store()) == run([stage], None)
    assert LookAround.seen == [2] * 8


def test_slow_solvers_are_known_too_and_follow_from_what_they_read() -> None:
    store = Store()
    for power in (1.0, 2.0, 1.0):
        run([Look(power=power), Solve()], store)
    assert len(Solve.seen) == 4
    assert (store.calls, store.hits) == (8, 4)


def test_what_a_wrapped_chain_reads_from_outside_counts() -> None:
    store = Store()
    for power in (1.0, 2.0):
        stages = [Look(power=power), Windows(width=99, inner=(Solve(),)), Solve(name="after")]
        assert run(stages, store) == run(stages, None)


def test_a_raised_version_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    run([Look()], store)
    monkeypatch.setattr(Look, "version", 2)
    run([Look()], store)
    assert Look.seen == [2, 2]


def test_a_changed_file_is_a_miss(tmp_path: Path) -> None:
    store, file = Store(), tmp_path / "texts.txt"
    file.write_text("one")
    stage = ReadText(file=str(file))
    pipeline = Pipeline.of([stage], {}, VOCABULARY, device="cpu", store=store)
    pipeline.run_many(IMAGES, VOCABULARY)
    pipeline.run_many(IMAGES, VOCABULARY)
    assert len(ReadText.seen) == 1
    file.write_text("other")
    pipeline.run_many(IMAGES, VOCABULARY)
    assert len(ReadText.seen) == 2


def test_a_changed_file_upstream_is_a_miss_only_where_it_changes_something(tmp_path: Path) -> None:
    store, backbone, file = Store(), Counting(), tmp_path / "present.json"
    stages = [PresenceFromFile(file=str(file)), *dropout(1)[1:]]
    for names in (["dog", "grass"], ["dog"]):
        file.write_text(json.dumps({"image0": names, "image7": ["dog"]}))
        run(stages, store, backbone=backbone)
    assert backbone._batches == [2, 1]


def test_weights_are_known_by_content_and_precision_counts(tmp_path: Path) -> None:
    class Weighty(PretrainedBackbone, Counting):
        def load(self) -> Any:
            return torch.nn.Identity()

    for name, content in (("a", "one"), ("b", "two"), ("c", "one")):
        (tmp_path / name).write_text(content)
    store = Store()
    models = [Weighty(weights=str(tmp_path / name)) for name in "abc"]
    models.append(Weighty(weights=str(tmp_path / "a"), precision="bf16"))
    for model in models:
        run(dropout(1), store, backbone=model)
    assert [model._batches for model in models] == [[2], [2], [], [2]]


def test_a_store_on_disk_is_used_by_the_next_process(tmp_path: Path) -> None:
    first = run([Look()], Store(tmp_path))
    assert run([Look()], Store(tmp_path)) == first
    assert Look.seen == [2]
    [path, _] = sorted(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    assert run([Look()], Store(tmp_path)) == first
    assert Look.seen == [2, 1]


def test_runs_without_a_store_take_no_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: Any) -> str:
        raise AssertionError("a digest was taken")

    for name in ("digest_tensor", "digest_texts"):
        monkeypatch.setattr(digests, name, stop)
    monkeypatch.setattr("ovsskit.engine.driver.digest_texts", stop)
    monkeypatch.setattr("ovsskit.engine.model.pretrained.digest_files", stop)
    monkeypatch.setattr("ovsskit.engine.model.pretrained.digest_path", stop)
    monkeypatch.setattr("ovsskit.engine.identity.digest_path", stop)
    run(dropout(), None, backbone=Counting())
    with pytest.raises(AssertionError, match="a digest was taken"):
        run(dropout(), Store(), backbone=Counting())


def test_the_quickstart_with_a_store(tmp_path: Path) -> None:
    plain = ovsskit.load("quickstart", "salience_dropout.rounds=2")
    images = [example(Image, seed) for seed in (0, 7)]
    expected = plain.run_many(images, plain.plan.vocabulary)
    for store in (Store(tmp_path), Store(tmp_path)):
        again = ovsskit.load("quickstart", "salience_dropout.rounds=2", store=store)
        found = again.run_many(images, again.plan.vocabulary)
        for one, other in zip(found, expected, strict=True):
            assert fingerprint(one["labels"]) == fingerprint(other["labels"])
            assert fingerprint(one["scores"]) == fingerprint(other["scores"])
    assert store.calls == 0


def test_a_wrapper_under_other_names_is_known_by_what_it_reads(tmp_path: Path) -> None:
    """The inner chain sees `resized`: another one computes anew, another image does not."""
    stages = [Windows(reads={"image": "resized"}, inner=(Look(),)), Solve()]
    image, other = example(Image, 1), example(Image, 2)
    for state, fresh in (
        ({"image": image, "resized": image}, 1),
        ({"image": other, "resized": image}, 0),
        ({"image": image, "resized": other}, 1),
    ):
        Solve.seen.clear()
        driver = Driver({}, {}, store=Store(tmp_path))
        [found] = driver.run(stages, [state])
        assert len(Solve.seen) == fresh
        [plain] = Driver({}, {}).run(stages, [state])
        assert torch.equal(found["scores"].data, plain["scores"].data)
