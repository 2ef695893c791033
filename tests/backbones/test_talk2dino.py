"""Patches are those of DINOv2, registers kept; projections that do not fit are refused."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from dino_twin import dino_twin, projection_twin
from noise_images import noise
from safetensors.torch import load_file, save_file

from ovsskit.backbones.dino import _projection
from ovsskit.backbones.dino.dino import Dino
from ovsskit.backbones.dino.talk2dino import Talk2dino
from ovsskit.engine.values import Attention
from ovsskit.errors import BadWeights, MissingWeights
from ovsskit.hub import published_file


def make(projection: Path | str = "") -> Talk2dino:
    return Talk2dino(weights=dino_twin(), projection=str(projection or projection_twin()))


def test_patches_are_those_that_guide_by_dino() -> None:
    image = noise(24, 56)
    [guide], [found] = (
        Dino(weights=dino_twin()).guide([image], "token"),
        make().describe_patches([image]),
    )
    torch.testing.assert_close(found.data, guide.data, atol=1e-4, rtol=1e-4)


def test_the_last_block_put_together_again_is_the_network() -> None:
    backbone, image = make(), noise(32, 48)
    [hidden] = backbone.hidden([image], [3])
    assert hidden.others == 5
    queries, keys, _ = backbone.project(hidden, 3)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    attention = Attention(weights, (3,), hidden.grid)
    found = backbone.finish(hidden, attention, residual=True, feed_forward=True)
    [described] = backbone.describe_patches([image])
    torch.testing.assert_close(found.vectors, described.vectors, atol=1e-4, rtol=1e-4)


def test_the_projection_is_linear_layers_with_a_tangent_between() -> None:
    layers, texts = load_file(projection_twin()), torch.rand(3, 16)
    inside = (texts @ layers["linear_layer.weight"].T + layers["linear_layer.bias"]).tanh()
    expected = inside @ layers["hidden_layers.0.weight"].T + layers["hidden_layers.0.bias"]
    torch.testing.assert_close(make().project_text(texts), expected)
    assert make().text_width == 16


def test_a_file_of_torch_with_the_older_names_gives_the_same(tmp_path: Path) -> None:
    old = {
        name.replace("hidden_layers.0", "linear_layer2"): one
        for name, one in load_file(projection_twin()).items()
    }
    torch.save(old, tmp_path / "old.pth")
    texts = torch.rand(3, 16)
    found = make(tmp_path / "old.pth").project_text(texts)
    torch.testing.assert_close(found, make().project_text(texts))


def test_projections_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    layers, file = load_file(projection_twin()), tmp_path / "other.safetensors"
    cases: dict[str, dict[str, torch.Tensor | None]] = {
        "lacks linear_layer.bias": {"linear_layer.bias": None},
        "do not fit one another": {"hidden_layers.0.weight": torch.zeros(32, 31)},
        "for patches of 8 numbers": {
            "hidden_layers.0.weight": torch.zeros(8, 32),
            "hidden_layers.0.bias": torch.zeros(8),
        },
    }
    for words, changed in cases.items():
        state = {name: one for name, one in {**layers, **changed}.items() if one is not None}
        save_file(state, file)
        with pytest.raises(BadWeights, match=words):
            make(file).check_weights()
    with pytest.raises(BadWeights, match="no such file"):
        make(tmp_path / "nothing.pth").check_weights()
    torch.save({"linear_layer.weight": print}, tmp_path / "code.pth")
    with pytest.raises(BadWeights, match="more than tensors"):
        make(tmp_path / "code.pth").check_weights()


def test_the_published_projection_is_fetched_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path))
    torch.save(load_file(projection_twin()), tmp_path / "there.pth")
    content = (tmp_path / "there.pth").read_bytes()
    with patch.object(published_file, "fetch_published", return_value=content) as fetch:
        make("published").check_weights()
        make("published").check_weights()
    assert fetch.call_args_list == [(_projection.PROJECTION[:3],)]


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path))
    with (
        patch.object(published_file, "fetch_published", side_effect=MissingWeights("no network")),
        pytest.raises(MissingWeights, match="no network"),
    ):
        make("published").check_weights()
