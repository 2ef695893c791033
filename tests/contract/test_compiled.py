"""Compiled networks give what they give without it; the compiler itself runs once, where it is."""

from __future__ import annotations

import re
import shutil

import jaxtyping
import pytest
import torch
from test_other_devices import BACKBONES, use

import ovsskit
from ovsskit.engine.model import PretrainedBackbone
from ovsskit.run.samples import sample_images

NAMES = [name for name, (cls, _) in BACKBONES.items() if getattr(cls, "compiles", "")]


@pytest.fixture(autouse=True)
def _only_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace the graphs, and run them as they are: what is compiled of them is torch's affair."""
    monkeypatch.setattr("ovsskit.engine.model.pretrained.COMPILER", "aot_eager")
    # What tests ask of annotated shapes cannot be traced.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    torch._dynamo.reset()


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_backbone_gives_the_same(name: str) -> None:
    cls, settings = BACKBONES[name]
    backbone = cls(**settings)  # type: ignore[misc]
    assert isinstance(backbone, PretrainedBackbone)
    compiled = backbone.compiled()
    blocks = [
        one
        for name, one in compiled.network.named_modules()
        if re.fullmatch(backbone.compiles, name)
    ]
    assert blocks
    assert all(one._compiled_call_impl is not None for one in blocks)
    for mine, right in zip(use(compiled, "cpu"), use(backbone, "cpu"), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)
    assert not any(one._compiled_call_impl for one in backbone.network.modules())
    assert compiled.to("cpu").network is compiled.network


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_recipe_runs_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovsskit.engine.model.pretrained.COMPILER", "inductor")
    image = sample_images()[0]
    plain = ovsskit.load("clearclip_tiny", device="cpu")(image)
    compiled = ovsskit.load("clearclip_tiny", device="cpu", compile=True)(image)
    torch.testing.assert_close(compiled.scores.data, plain.scores.data, rtol=1e-4, atol=1e-5)
