"""Models are chosen by what they can do, and kinds flow through stages that keep them."""

from __future__ import annotations

import pytest

from ovsskit._lazy import torch
from ovsskit.engine.driver import Driver
from ovsskit.engine.model import Backbone, MatchesText
from ovsskit.engine.stage import Stage, Wrapper, Wraps, own_slot, wiring
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image, Present, Saliency, Vocabulary
from ovsskit.engine.wiring import Node, wire
from ovsskit.errors import Problems, collecting
from ovsskit.recipe.registry import CATALOGUE, find_stage
from ovsskit.run.pipeline import Pipeline
from ovsskit.testing import ToyBackbone, ToyPresent, ToyScores, example


class OnlyMatches(Backbone, MatchesText):
    """Match and do nothing else."""

    def match(self, images, captions):  # type: ignore[no-untyped-def]
        return [torch.zeros(len(mine)) for mine in captions]


def stage(name: str, **fields: object) -> Stage:
    cls = find_stage(name)
    assert cls is not None
    return cls(**fields)


def chosen(models: dict[str, type], **fields: object) -> str:
    [_, link] = wire(
        [Node.of(stage("all_classes")), Node.of(stage("write_captions", **fields))],
        models,
        CATALOGUE,
    )
    return link.models["backbone"]


def test_the_model_of_the_parameters_name_is_taken() -> None:
    assert chosen({"backbone": ToyBackbone, "judge": ToyBackbone}) == "backbone"


def test_else_the_only_model_that_can() -> None:
    assert chosen({"backbone": OnlyMatches, "judge": ToyBackbone}) == "judge"


def test_else_the_one_that_the_stage_names() -> None:
    models = {"first": ToyBackbone, "second": ToyBackbone}
    assert chosen(models, reads={"backbone": "second"}) == "second"
    with pytest.raises(
        Problems,
        match=(
            r"several models can: first, second.\n  Say which: reads = \{ backbone = "
            r'"first" }'
        ),
    ):
        chosen(models)


def test_a_model_that_cannot_is_refused_with_those_that_can() -> None:
    with pytest.raises(
        Problems, match="`backbone` is MatchesText.\n  Backbones that can: .*blip_itm"
    ):
        chosen({"backbone": OnlyMatches})


def test_stages_put_together_in_python_are_checked_too() -> None:
    with pytest.raises(
        Problems,
        match="dense_crf reads `scores` as Confidences, but it is Saliency, written by threshold",
    ):
        Pipeline.of([ToyScores(), stage("threshold"), stage("dense_crf")])


def test_a_stage_that_keeps_the_kind_passes_it_on() -> None:
    nodes = [
        Node.of(one)
        for one in (ToyScores(), stage("softmax"), stage("upsample"), stage("dense_crf"))
    ]
    links = wire(nodes, {})
    assert [link.writes for link in links] == [
        ("scores", kind) for kind in ("Saliency", *["Probabilities"] * 3)
    ]
    assert links[2].reads["scores"] == ("scores", "Probabilities", "softmax")


class Welcome(Stage, writes="scores"):
    """Read a slot if there is one."""

    def run(self, image: Image, present: Present | None = None) -> Saliency:
        return Saliency(image.data * (0 if present is None else len(present.labels)), (1, 2, 3))


def test_a_slot_that_need_not_be_there_is_read_if_it_is() -> None:
    plan = wiring(Welcome)
    assert (plan.reads, plan.optional) == ({"image": Image, "present": Present}, {"present"})
    links = wire([Node.of(Welcome())], {})
    assert set(links[0].reads) == {"image"}
    nodes = [Node.of(stage("all_classes")), Node.of(Welcome())]
    assert wire(nodes, {})[1].reads["present"] == ("present", "Present", "all_classes")
    image, vocabulary = example(Image), example(Vocabulary)
    for store in (None, Store()):
        [without] = Pipeline.of([Welcome()], store=store, device="cpu").run_many(
            [image], vocabulary
        )
        [with_] = Pipeline.of(
            [stage("all_classes"), Welcome()], store=store, device="cpu"
        ).run_many([image], vocabulary)
        assert not without["scores"].data.any()
        assert torch.equal(with_["scores"].data, image.data * 3)


def test_a_slot_that_need_not_be_there_is_of_its_kind_if_it_is() -> None:
    with pytest.raises(Problems, match="welcome reads `scores` as Present, but it is Saliency"):
        Pipeline.of([ToyScores(), Welcome(reads={"present": "scores"})])


class Brightest(Wrapper, writes="scores"):
    """Run the inner chain as it is."""

    def run(self, image: Image, present: Present | None = None) -> Wraps[Saliency]:
        [out] = yield [{}]
        scores: Saliency = out["scores"]
        return scores


def problems_of(*nodes: Node) -> list[str]:
    with collecting() as problems:
        wire(nodes, {})
    return [str(problem) for problem in problems]


def test_the_inner_chain_is_wired_to_what_the_wrapper_read() -> None:
    inner = (Node.of(ToyScores()), Node.of(stage("upsample")))
    resize = Node.of(stage("resize_image", short_side=16))
    good = Node(Brightest, "outer", {"image": "resized"}, inner)
    assert not problems_of(resize, good)
    [missing] = problems_of(good)
    assert "outer reads `resized`" in missing, "not the stages inside, which follow from it"
    [wrong] = problems_of(
        Node(Brightest, "outer", {"image": "vocabulary"}, (Node.of(ToyScores()),))
    )[:1]
    assert "outer reads `vocabulary` as Image" in wrong


def test_a_merged_slot_that_the_wrapper_only_read_is_not_written_inside() -> None:
    class KeepScores(Wrapper, writes="scores"):
        """Read scores, and run the inner chain as it is."""

        def run(self, scores: Saliency) -> Wraps[Saliency]:
            [out] = yield [{}]
            merged: Saliency = out["scores"]
            return merged

    class OtherScores(ToyScores, writes="other"):
        """Write scores to another slot."""

    inner = (Node.of(stage("resize_image", short_side=16)),)
    keep = Node(KeepScores, "keep", {"scores": "other"}, inner)
    nodes = (Node.of(ToyScores()), Node.of(OtherScores()), keep)
    assert "its inner chain does not write it" in "".join(problems_of(*nodes))


class Choose(Wrapper, writes="scores", sees={"present": Present}):
    """Keep the maps of the classes that the inner chain takes as present."""

    def run(self, image: Image) -> Wraps[Saliency]:
        [out] = yield [{}]
        rows = [label - 1 for label in out["present"].labels]
        return Saliency(out["scores"].data[rows], out["present"].labels)


def test_a_wrapper_receives_another_slot_of_the_inner_chain() -> None:
    image = example(Image)
    wrapper = Choose(inner=(ToyScores(), ToyPresent()))
    assert not problems_of(Node.of(wrapper))
    [state] = Driver({}, {}).run([wrapper], [{"image": image}])
    found = state["scores"]
    assert found.labels == ToyPresent().run(image).labels
    assert torch.equal(found.data, image.data[[label - 1 for label in found.labels]])


def test_another_slot_must_be_written_inside_and_be_of_its_kind() -> None:
    outside = Node.of(ToyPresent())
    [missing] = problems_of(outside, Node(Choose, "choose", {}, (Node.of(ToyScores()),)))
    assert "choose merges `present` (Present), but its inner chain does not write it." in missing

    class OtherPresent(ToyScores, writes="present"):
        """Write scores to the slot of the present classes."""

    inner = (Node.of(ToyScores()), Node.of(OtherPresent()))
    [wrong] = problems_of(Node(Choose, "choose", {}, inner))
    assert "merges `present` as Present, but other_present writes Saliency." in wrong


def test_an_optional_slot_under_a_name_that_nobody_writes_is_not_seen_inside() -> None:
    class NeedsPresent(ToyScores, writes="scores"):
        """Read what is present."""

        def run(self, image: Image, present: Present) -> Saliency:  # type: ignore[override]
            return super().run(image)

    nodes = (
        Node.of(stage("all_classes")),
        Node(Brightest, "outer", {"present": "nowhere"}, (Node.of(NeedsPresent()),)),
    )
    [problem] = problems_of(*nodes)
    assert "needs_present reads `present`" in problem


def test_a_stage_writes_the_slot_that_it_is_told_to() -> None:
    first, second = ToyScores(), ToyScores(name="second", writes="others")
    softmax = stage("softmax", reads={"scores": "others"})
    links = wire([Node.of(one) for one in (first, second, softmax)], {})
    assert [link.writes[0] for link in links] == ["scores", "others", "scores"]
    assert links[2].reads["scores"] == ("others", "Saliency", "second")
    image, vocabulary = example(Image), example(Vocabulary)
    pipeline = Pipeline.of([first, second, softmax], device="cpu")
    [slots] = pipeline.run_many([image], vocabulary)
    assert torch.equal(slots["others"].data, image.data)
    assert torch.equal(slots["scores"].data, image.data.softmax(0))


def test_a_wrapper_has_its_own_slot_inside_and_another_outside() -> None:
    wrapper = Choose(inner=(ToyScores(), ToyPresent()), writes="chosen")
    reader = stage("softmax", reads={"scores": "chosen"})
    links = wire([Node.of(wrapper), Node.of(reader)], {})
    assert [link.writes[0] for link in links] == ["chosen", "scores"]
    [state] = Driver({}, {}).run([wrapper], [{"image": example(Image)}])
    [plain] = Driver({}, {}).run(
        [wrapper.model_copy(update={"writes": "scores"})], [{"image": example(Image)}]
    )
    assert torch.equal(state["chosen"].data, plain["scores"].data)
    assert "scores" not in state


def test_a_slot_of_another_name_must_be_read() -> None:
    [unread] = problems_of(Node.of(ToyScores(writes="others")))
    assert "toy_scores writes `others`, and no stage reads it." in unread
    reader = Node.of(stage("softmax", reads={"scores": "others"}))
    assert not problems_of(Node.of(ToyScores(writes="others")), reader)


def test_a_class_below_another_keeps_its_slot_unless_it_says_another() -> None:
    class Same(ToyScores):
        """Write what the parent writes."""

    class Other(ToyScores, writes="others"):
        """Write another slot."""

    assert [own_slot(cls) for cls in (ToyScores, Same, Other)] == ["scores", "scores", "others"]
    assert (Same().writes, Other().writes, Same(writes="mine").writes) == (
        "scores",
        "others",
        "mine",
    )
    assert {info.description for info in (Same.model_fields["writes"],)} != {None}


def test_classes_that_are_found_for_nothing_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    alone = [Node.of(stage("all_classes")), Node.of(ToyScores()), Node.of(stage("label_map"))]
    wire(alone, {}, CATALOGUE)
    assert [record.message for record in caplog.records] == [
        "all_classes says which classes are present, but the labels ignore it: add keep_present"
    ]
    caplog.clear()
    wire([*alone[:2], Node.of(stage("keep_present")), alone[2]], {}, CATALOGUE)
    wire(alone[:2], {}, CATALOGUE)
    assert not caplog.records
