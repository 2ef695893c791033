"""Everything runs on a GPU that has no float64, as Apple's, with nothing left on the processor or
on the device before.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import torch
from pretend_device import NAME, PretendDevice, There, Wait
from test_stages import STAGES, WRAPPERS, make
from twins import TWINS

import ovsskit
from ovsskit.cli.run_report import Report
from ovsskit.engine.driver import Driver
from ovsskit.engine.model import (
    Backbone,
    CrossAttends,
    DecodesPatches,
    EncodesImage,
    EncodesPatches,
    EncodesText,
    EncodesTokens,
    GuidesPatches,
    MatchesText,
)
from ovsskit.engine.model.encodes_tokens import last_two
from ovsskit.engine.stage import own_slot, wiring
from ovsskit.engine.values import Attention, Captions, Image, Value
from ovsskit.recipe.registry import backbone_names, find_backbone
from ovsskit.run.options import RunOptions
from ovsskit.run.run import run_job
from ovsskit.run.samples import sample_images
from ovsskit.testing import ToyBackbone, ToyLabels, example
from ovsskit.testing.checks import TOYS


def parts(value: Value) -> dict[str, torch.Tensor]:
    held = {one.name: getattr(value, one.name) for one in fields(value)}
    return {name: item for name, item in held.items() if isinstance(item, torch.Tensor)}


def see_equal(there: Value, here: Value) -> None:
    """See that a value is on the device as a whole, and is what the processor gives."""
    for name, tensor in parts(there).items():
        assert isinstance(tensor, There), f"{name} is on the processor"
        torch.testing.assert_close(tensor.here, parts(here)[name])
    for one in fields(there):
        found, expected = getattr(there, one.name), getattr(here, one.name)
        if isinstance(found, tuple) and not any(isinstance(item, torch.Tensor) for item in found):
            assert found == pytest.approx(expected), one.name


@pytest.mark.parametrize("name", STAGES)
def test_stage_on_a_device_without_float64(name: str, tmp_path: Path) -> None:
    stage = make(name, tmp_path)
    plan = wiring(type(stage))
    slots = {slot: example(kind) for slot, kind in plan.reads.items()}
    with torch.no_grad():
        here = stage.run(**slots, **dict.fromkeys(plan.models, ToyBackbone()))
        with PretendDevice():
            there = stage.run(
                **{slot: value.to(NAME) for slot, value in slots.items()},
                **dict.fromkeys(plan.models, ToyBackbone().to(NAME)),
            )
    see_equal(there, here)


def see_declared(waits: list[Wait], classes: dict[str, type]) -> None:
    """See that whoever waits for the device says why, and that nobody else does."""
    for wait in waits:
        cls = classes.get(wait.owner)
        assert wait.kind == "send" or cls is None or getattr(cls, "waits", ""), (
            f"{wait}: on a GPU the program waits there for the device. Do without, on the device "
            "(torch.where, index_select), or bring numbers there by ovsskit.engine.sending. If it "
            f'must be, say why in the class {cls.__name__}: `waits: ClassVar[str] = "..."`.'
        )


WAITING: dict[str, dict[str, Any]] = {
    "self_similarity": {"scale": "norms"},
    "presence_by_grounding": {"at_most": 2},
}
"""Parameters with which stages wait, of those that do not always."""


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_waits_for_the_device_says_why(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make(name, tmp_path).model_copy(update=WAITING.get(name, {}))
    plan = wiring(type(stage))
    toy = ToyBackbone().to(NAME)
    monkeypatch.setattr("ovsskit.engine.devices.NO_FLOAT64", ())
    with torch.no_grad(), PretendDevice(float64=True) as device:
        slots = {slot: example(kind).to(NAME) for slot, kind in plan.reads.items()}
        device.waits.clear()
        stage.run(**slots, **dict.fromkeys(plan.models, toy))
    see_declared(device.waits, {name: type(stage)})
    waited = any(wait.owner == name and wait.kind != "send" for wait in device.waits)
    assert waited or not stage.waits, "it does not wait any more: take `waits` away"


@pytest.fixture(autouse=True)
def _no_float64_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovsskit.engine.devices.NO_FLOAT64", (NAME,))


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapper_on_a_device_without_float64(name: str, tmp_path: Path) -> None:
    wrapper = make(name, tmp_path)
    reads = wiring(type(wrapper)).reads
    toys = {own_slot(one): one for one in TOYS} | {"reward": ToyLabels}
    inner = tuple(toys[slot]() for slot in (wrapper.writes, *type(wrapper).sees))
    stages = [wrapper.model_copy(update={"inner": inner})]
    state = {slot: example(kind) for slot, kind in {"image": Image, **reads}.items()}
    with torch.no_grad():
        [here] = Driver({}, {}).run(stages, [state])
        with PretendDevice():
            moved = {slot: value.to(NAME) for slot, value in state.items()}
            [there] = Driver({}, {}).run(stages, [moved])
    see_equal(there[wrapper.writes], here[wrapper.writes])


def use(backbone: Backbone, device: str) -> list[torch.Tensor]:
    """Return what all capabilities of a backbone give for images on a device, one of them with
    hidden patches.
    """
    images = [example(Image, seed).to(device) for seed in (0, 7)]
    captions = example(Captions)
    found: list[torch.Tensor] = []
    if isinstance(backbone, CrossAttends):
        rows, columns = backbone.grid
        hidden = torch.eye(rows, columns, device=device) > 0
        for attention in backbone.cross_attention(
            [images[0], images[1].hide(hidden)],
            [captions] * 2,
            layers=None,
            objective="match_loss",
            pad_to=14,
        ):
            found += parts(attention).values()
    if isinstance(backbone, MatchesText):
        found += backbone.match(images, [captions.captions] * 2)
    if isinstance(backbone, EncodesText):
        found.append(backbone.encode_text(["ice cream", "dog"]))
        found.append(backbone.encode_text(["dog", "grass"]))
    if isinstance(backbone, EncodesImage):
        found.append(backbone.encode_image(images))
    if isinstance(backbone, EncodesTokens):
        last = backbone.block_count
        for hidden in backbone.hidden(images, last_two(last)):
            found += [hidden.data, *backbone.project(hidden, last), backbone.norms(hidden, last)]
            if not isinstance(backbone, EncodesPatches):
                continue
            alike = backbone.project(hidden, last)[0] @ backbone.project(hidden, last)[1].mT
            attention = Attention(alike.softmax(-1)[None], (last,), hidden.grid)  # type: ignore[attr-defined]
            done = backbone.finish(hidden, attention, residual=True, feed_forward=True)
            found.append(done.data)
    if isinstance(backbone, GuidesPatches):
        for facet in ("token", "query_key"):
            found += [one.data for one in backbone.guide(images, facet)]
    if isinstance(backbone, DecodesPatches):
        found += backbone.decode_patches(images, [("dog", "grass"), ("grass",)])
        found += [features.data for features in backbone.trunk_features(images)]
    return found


BACKBONES = {name: (find_backbone(name), TWINS[name]) for name in backbone_names()}
BACKBONES["toy"] = (ToyBackbone, {})


@pytest.mark.parametrize("name", BACKBONES)
def test_a_used_backbone_moves_as_a_whole(name: str) -> None:
    cls, settings = BACKBONES[name]
    assert cls is not None
    backbone = cls(**settings)
    here = use(backbone, "cpu")
    with PretendDevice():
        moved = backbone.to(NAME)
        there = use(moved, NAME)
    with PretendDevice() as device:  # the network is there
        use(moved, NAME)
    see_declared(device.waits, {name: cls})
    for one, other in zip(there, here, strict=True):
        assert isinstance(one, There)
        torch.testing.assert_close(one.here, other, rtol=1e-4, atol=1e-5)
    again = use(backbone, "cpu")  # the first is left as it was
    for one, other in zip(again, here, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_result_on_a_device_without_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    image = sample_images()[0]
    here = ovsskit.load("ifseg_tiny", device="cpu")(image)
    monkeypatch.setattr("ovsskit.run.pipeline.choose_device", lambda _: NAME)
    with PretendDevice():
        there = ovsskit.load("ifseg_tiny")(image)
        assert isinstance(there.ids, There)
        there.overlay()
    assert (there.ids.here == here.ids).float().mean() > 0.999


def test_a_run_on_a_device_without_float64_saves_what_one_on_the_processor_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RunOptions(
        "quickstart",
        out=tmp_path / "here",
        limit=1,
        overrides=("dense_crf.steps=2", "salience_dropout.rounds=2"),
        device="cpu",
        save=frozenset({"scores", "confidence"}),
    )
    ovsskit.engine.devices._say_that_float64_is_missing.cache_clear()
    callbacks = Report(quiet=True, as_json=False)
    assert run_job(options, callbacks) == 0
    monkeypatch.setattr("ovsskit.run.run.choose_device", lambda _: NAME)
    monkeypatch.setattr("ovsskit.run.pipeline.choose_device", lambda _: NAME)
    with PretendDevice():
        assert run_job(replace(options, out=tmp_path / "there"), callbacks) == 0
    for path in (tmp_path / "here").rglob("*.png"):
        other = PIL.Image.open(tmp_path / "there" / path.relative_to(tmp_path / "here"))
        here, there = (numpy.asarray(one, numpy.float32) for one in (PIL.Image.open(path), other))
        assert (abs(here - there) > 1).mean() < 0.001, path.name
    notices = [
        json.loads((tmp_path / name / "run.json").read_text())["notices"]
        for name in ("here", "there")
    ]
    assert notices[1] == [
        *notices[0],
        f"{NAME} has no float64: the steps that need it run on the processor",
    ]
