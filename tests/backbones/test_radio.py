"""Tokens and features are those of transformers' own RADIO; NVIDIA's checkpoint, its conversion and
the hub's names give the same; others are refused, and nothing that a file holds runs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from noise_images import noise
from radio_twin import SHAPE, TEACHERS, checkpoint, radio_twin, small_head, small_radio
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from ovsskit.backbones.radio.radio import Radio
from ovsskit.cli.app import app
from ovsskit.engine.values import Attention
from ovsskit.errors import BadValue, BadWeights

OTHERS = SHAPE["num_cls_tokens"] + SHAPE["num_registers"]


def change(file: Path, changed: dict[str, torch.Tensor | None]) -> Path:
    """Write the small checkpoint with other tensors; None leaves one out."""
    held = checkpoint()
    state = held["state_dict"] | changed
    held["state_dict"] = {name: one for name, one in state.items() if one is not None}
    torch.save(held, file)
    return file


@pytest.mark.parametrize("size", [(24, 56), (48, 48), (40, 16), (64, 72)])
def test_tokens_and_features_are_those_of_transformers(size: tuple[int, int]) -> None:
    network, backbone, image = small_radio(), Radio(weights=radio_twin()), noise(*size)
    with torch.no_grad():
        expected = network(image.data[None], output_hidden_states=True)
    [hidden] = backbone.hidden([image], [1, 2, 3])
    assert hidden.grid == (size[0] // 8, size[1] // 8)
    assert hidden.others == OTHERS
    for layer in (2, 3):
        states = expected.hidden_states[layer - 1][0]
        torch.testing.assert_close(hidden.entering(layer), states, atol=1e-4, rtol=1e-4)
    [guide] = backbone.guide([image], "token")
    torch.testing.assert_close(guide.vectors, expected.features[0], atol=1e-4, rtol=1e-4)


def test_the_last_block_put_together_again_is_the_network(tmp_path: Path) -> None:
    backbone, image = Radio(weights=radio_twin()), noise(32, 40)
    [hidden] = backbone.hidden([image], [3])
    queries, keys, _ = backbone.project(hidden, 3)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    attention = Attention(weights, (3,), hidden.grid)
    left = backbone.feed_forward(3, backbone.gather(hidden, attention, residual=True))
    [guide] = backbone.guide([image], "token")
    torch.testing.assert_close(left[OTHERS:], guide.vectors, atol=1e-4, rtol=1e-4)
    assert torch.equal(backbone.normalise_tokens(left), left)


def test_patches_go_through_the_head_of_the_named_teacher() -> None:
    tokens = torch.rand(7, SHAPE["hidden_size"], generator=torch.Generator().manual_seed(3))
    for number, teacher in enumerate(TEACHERS):
        found = Radio(weights=radio_twin(), language=teacher).into_texts(tokens)
        state = small_head(SHAPE["hidden_size"], 16, number)
        torch.testing.assert_close(found, plain_head(state, tokens), atol=1e-5, rtol=1e-5)


def plain_head(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return what a head gives, by formulas."""

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * state[f"{name}.weight"] + state[f"{name}.bias"]

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return x * 0.5 * (1 + torch.erf(x / 2**0.5))

    if "pre_norm.0.weight" in state:
        x = gelu(norm("pre_norm.0", x))
    x = linear("fc1", x)
    for number in range(sum(name.endswith(".2.weight") for name in state) - 1):
        x = x + linear(f"blocks.{number}.2", gelu(norm(f"blocks.{number}.0", x)))
    return linear("final.2", gelu(norm("final.0", x)))


@pytest.mark.parametrize(("inner", "first_norm"), [(0, False), (2, False), (1, True)])
def test_heads_of_other_forms(inner: int, first_norm: bool, tmp_path: Path) -> None:
    width = SHAPE["hidden_size"]
    state = small_head(width, 16, 1)
    step = {name: one for name, one in state.items() if name.startswith("blocks.")}
    state = {name: one for name, one in state.items() if name not in step}
    for number in range(inner):
        state |= {name.replace(".0.", f".{number}.", 1): one + number for name, one in step.items()}
    if first_norm:
        state |= {"pre_norm.0.weight": torch.rand(width), "pre_norm.0.bias": torch.rand(width)}
    gone: dict[str, Any] = {f"_heads.1.{name}": None for name in step}
    file = change(
        tmp_path / "radio.pth", gone | {f"_heads.1.{name}": one for name, one in state.items()}
    )
    tokens = torch.rand(5, width, generator=torch.Generator().manual_seed(3))
    found = Radio(weights=str(file)).into_texts(tokens)
    torch.testing.assert_close(found, plain_head(state, tokens), atol=1e-5, rtol=1e-5)


def same(one: Radio, other: Radio) -> bool:
    image = noise(24, 40)
    pairs = zip(one.guide([image], "token"), other.guide([image], "token"), strict=True)
    return all(torch.equal(mine.data, theirs.data) for mine, theirs in pairs)


def test_the_command_converts_it(tmp_path: Path) -> None:
    file = tmp_path / "radio.safetensors"
    arguments = ["models", "radseg", "--set", f"backbone.weights={radio_twin()}"]
    arguments += ["--set", "models.texts.model=", "--set", "models.texts.weights=embedded"]
    done = CliRunner().invoke(app, [*arguments, "--convert", str(file)])
    assert done.exit_code == 0, done.output
    names = {*load_file(file)}
    assert not any(name.startswith(("_", "base_model")) for name in names)
    assert {name.split(".")[1] for name in names if name.startswith("head.")} == {*TEACHERS}
    before = Radio(weights=radio_twin(), language="clip")
    after = Radio(weights=str(file), language="clip")
    assert same(before, after)
    tokens = torch.rand(3, SHAPE["hidden_size"])
    assert torch.equal(before.into_texts(tokens), after.into_texts(tokens))


def test_names_of_the_hub_are_read_and_heads_are_missed_when_they_are_needed(
    tmp_path: Path,
) -> None:
    state = {
        re.sub(r"^base_model\.", "radio_model.model.", name): one.clone()
        for name, one in checkpoint()["state_dict"].items()
        if not name.startswith("_")
    }
    state = {
        name if name.startswith("radio_model.") else f"radio_model.{name}": one
        for name, one in state.items()
    }
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 2}))
    backbone = Radio(weights=str(tmp_path))
    assert same(backbone, Radio(weights=radio_twin()))
    with pytest.raises(BadWeights, match="have no heads"):
        backbone.into_texts(torch.zeros(1, SHAPE["hidden_size"]))


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("the file's code ran",))


def test_nothing_that_a_file_holds_runs(tmp_path: Path) -> None:
    held = checkpoint()
    held["args"].more = Evil()
    torch.save(held, tmp_path / "radio.pth")
    with pytest.raises(BadWeights, match="holds more than tensors"):
        Radio(weights=str(tmp_path / "radio.pth")).check_weights()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base_model.blocks.1.mlp.fc2.bias": None}, "lack: encoder.layer.1.mlp.fc2.bias"),
        ({"base_model.patch_generator.embedder.bias": torch.zeros(128)}, "RADIO lacks: embeddings"),
        (
            {"base_model.blocks.0.attn.qkv.parametrizations.weight.original": torch.zeros(2)},
            "RADIO lacks: encoder.layer.0.attn.qkv.parametrizations",
        ),
        ({"_heads.1.final.2.weight": None}, "head of these weights for siglip2-g lacks: final.2"),
        ({"base_model.patch_generator.cls_token.token": None}, "are not those of a RADIO"),
    ],
)
def test_weights_that_do_not_fit(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = change(tmp_path / "radio.pth", changed)
    with pytest.raises(BadWeights, match=re.escape(message)):
        Radio(weights=str(file)).check_weights()


def test_a_teacher_that_is_not_there() -> None:
    with pytest.raises(BadWeights, match="`dino` names none of the heads"):
        Radio(weights=radio_twin(), language="dino").check_weights()


def test_colours_and_sizes() -> None:
    backbone = Radio(weights=radio_twin(), mean=(10.0, 20.0, 30.0), deviation=(2.0, 4.0, 5.0))
    image = noise(19, 25)
    found = backbone.pixels(image)
    assert found.shape == (3, 16, 24)
    torch.testing.assert_close(found[2], (image.data[2, :16, :24] * 255 - 30) / 5)
    with pytest.raises(BadValue, match="smaller than a patch of 8"):
        backbone.guide([noise(7, 20)], "token")
