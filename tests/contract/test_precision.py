"""Stages take half precision, backbones compute in it and answer in fp32, and recipes run in it.

A limit follows from the format, not from what a machine gave. A number in bf16 has 8 significant
bits and one in fp16 has 11, so that rounding moves it by at most `u`, 2**-8 or 2**-11 of itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_other_devices import BACKBONES, use
from test_recipes import load
from test_stages import STAGES, make
from ways import WAYS, few_of

import ovsskit
from ovsskit.engine.driver import State
from ovsskit.engine.identity import model_identity
from ovsskit.engine.model import Backbone, PretrainedBackbone
from ovsskit.engine.stage import Stage, wiring
from ovsskit.engine.values import (
    Attention,
    Gathered,
    Hidden,
    Image,
    PatchAffinity,
    PatchSimilarity,
    PatchWeights,
    Similarity,
    Value,
)
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.samples import sample_images
from ovsskit.testing import ToyBackbone, example

FORMATS = {"bf16": (torch.bfloat16, 2.0**-8), "fp16": (torch.float16, 2.0**-11)}
"""Each with its unit roundoff."""
OPERATIONS = 8
"""How many operations a stage does one after the other on what it was given, at most: each may
round once, and none of them cancels the greatest value."""
ROUNDINGS = 12
"""How often a block of a transformer rounds a token: two norms, four products of matrices, softmax,
activation, biases, and two sums."""
BLOCKS = 24
"""How many blocks a number goes through at most: twelve, and on the way back the same."""
DRIFT = math.sqrt(2 * ROUNDINGS * BLOCKS)
"""By how many roundings a vector drifts, relative to its length: they are independent of each
other, so that their squares add up; weights are rounded too, which moves a product as much again.
"""


def in_format(value: Value, dtype: torch.dtype) -> Value:
    """Return a value with all its numbers that are no whole ones in a format."""
    tensors = {one.name: getattr(value, one.name) for one in fields(value)}
    return replace(
        value,
        **{
            name: tensor.to(dtype)
            for name, tensor in tensors.items()
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
        },
    )


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_takes_half_precision(name: str, precision: str, tmp_path: Path) -> None:
    dtype, unit = FORMATS[precision]
    stage = make(name, tmp_path)
    plan = wiring(type(stage))
    examples = {slot: example(kind) for slot, kind in plan.reads.items()}
    half = {
        slot: value if isinstance(value, Image) else in_format(value, dtype)
        for slot, value in examples.items()
    }
    single = {slot: in_format(value, torch.float32) for slot, value in half.items()}
    models = dict.fromkeys(plan.models, ToyBackbone())
    with torch.no_grad():
        expected, found = stage.run(**single, **models), stage.run(**half, **models)
    for one in fields(expected):
        right, mine = getattr(expected, one.name), getattr(found, one.name)
        if not isinstance(right, torch.Tensor):
            assert mine == right or one.name == "scores"
        elif right.is_floating_point():
            there = right != -torch.inf  # what is taken out of attention
            assert torch.equal(mine != -torch.inf, there)
            mine, right = mine[there], right[there]
            assert mine.isfinite().all(), "it overflows: compute in fp32, `data.float()`"
            far = (mine.float() - right).abs().max() if right.numel() else 0
            largest = right.abs().max() if right.numel() else 0
            assert far <= OPERATIONS * unit * largest, "it loses digits: compute in fp32"
        else:
            assert torch.equal(mine, right)


def has_precision(cls: Any) -> bool:
    return "precision" in cls.model_fields


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize(
    "name", [name for name, (cls, _) in BACKBONES.items() if has_precision(cls)]
)
def test_a_backbone_in_half_precision_gives_what_it_gives_in_single(
    name: str, precision: str
) -> None:
    cls, settings = BACKBONES[name]
    assert cls is not None
    expected = use(cls(**settings), "cpu")
    found = use(cls(**settings, precision=precision), "cpu")  # type: ignore[call-arg]
    for mine, right in zip(found, expected, strict=True):
        assert mine.isfinite().all()
        far = torch.linalg.vector_norm(mine.float() - right.float())
        assert far <= DRIFT * FORMATS[precision][1] * torch.linalg.vector_norm(right.float())


INSIDE = (
    Hidden,
    Similarity,
    Attention,
    PatchAffinity,
    PatchSimilarity,
    PatchWeights,
    Gathered,
)
"""What only the stages of attention read, and the backbone that computes in half precision."""


@pytest.mark.parametrize("path", WAYS.values(), ids=lambda path: path.stem)
def test_a_recipe_runs_in_half_precision(path: Path, tmp_path: Path) -> None:
    plan = load(path, tmp_path).plan
    vocabulary = few_of(plan)
    for precision in FORMATS:
        models = {name: in_precision(one, precision) for name, one in plan.models.items()}
        pipeline = Pipeline(replace(plan, models=models), device="cpu")

        def see(stage: Stage, states: Sequence[State], seconds: float) -> None:
            for value in (state[stage.writes] for state in states):
                for one in fields(value):
                    tensor = getattr(value, one.name)
                    if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                        # -inf is what is taken out of attention
                        sound = tensor.isfinite() | tensor.isneginf()
                        assert sound.all(), f"{stage.address} overflows"
                        is_single = tensor.dtype == torch.float32
                        assert is_single or isinstance(value, INSIDE), stage.address

        [state] = pipeline.run_many([example(Image)], vocabulary, see)
        assert {*state["labels"].ids.unique().tolist()} <= {*vocabulary.ids}


def in_precision(model: Backbone, precision: str) -> Backbone:
    if not has_precision(type(model)):
        return model
    settings = {name: getattr(model, name) for name in type(model).model_fields}
    return type(model)(**{**settings, "precision": precision})


@pytest.mark.parametrize("name", ["clearclip_tiny", "gem_tiny", "ifseg_tiny"])
@pytest.mark.parametrize("precision", FORMATS)
def test_labels_in_half_precision_move_as_little_as_rounding_lets_them(
    name: str, precision: str
) -> None:
    dtype, _ = FORMATS[precision]
    images = sample_images()[:4]
    single, rounded = (ovsskit.load(name, device="cpu") for _ in range(2))
    half = ovsskit.load(name, f"backbone.precision={precision}", device="cpu")
    for weight in rounded.models["backbone"].network.parameters():  # type: ignore[attr-defined]
        weight.copy_(weight.to(dtype))
    plain, once, often = (
        torch.cat([result.ids.flatten() for result in pipeline(images)])
        for pipeline in (single, rounded, half)
    )
    moved, alone = ((ids != plain).float().mean() for ids in (often, once))
    assert moved <= math.sqrt(ROUNDINGS) * alone + 1 / 256


@pytest.mark.parametrize("native", [False, True])
def test_auto_takes_bf16_only_where_the_processor_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr("ovsskit.engine.devices.has_native_bf16", lambda _: native)
    pipeline = ovsskit.load("clearclip_tiny", "backbone.precision=auto", device="cpu")
    model = pipeline.models["backbone"]
    assert isinstance(model, PretrainedBackbone)
    assert model.precision == model.number_format == ("bf16" if native else "fp32")
    assert model_identity(model)["precision"] == model.precision  # so stores never mix them
    alone = type(model)(weights="embedded", precision="auto")  # type: ignore[call-arg]
    assert alone.dtype == model.dtype
