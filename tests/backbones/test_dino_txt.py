"""The head's blocks are what stages see; parts that are missing or do not fit are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dino_twin import dino_twin
from dino_txt_twin import dino_txt_twin, draw, head_shapes, text_shapes
from noise_images import noise

from ovsskit.backbones.dino._published import HEAD, TEXTS
from ovsskit.backbones.dino.dino import Dino
from ovsskit.backbones.dino.dino_txt import DinoTxt
from ovsskit.engine.values import Attention
from ovsskit.errors import BadWeights, MissingWeights

Changes = dict[str, torch.Tensor | None]


def make(**parts: object) -> DinoTxt:
    files = dino_txt_twin() | {name: str(file) for name, file in parts.items()}
    return DinoTxt(weights=dino_twin(), **files)


def test_what_enters_the_head_leaves_dino() -> None:
    image = noise(24, 56)
    [guide] = Dino(weights=dino_twin()).guide([image], "token")
    [hidden] = make().hidden([image], [1])
    assert (hidden.grid, hidden.others) == ((3, 7), 5)
    patches = hidden.entering(1)[hidden.others :]
    torch.testing.assert_close(patches, guide.vectors, atol=1e-4, rtol=1e-4)


def test_the_last_block_put_together_again_is_the_network() -> None:
    backbone, image = make(), noise(32, 48)
    assert backbone.block_count == 2
    [hidden] = backbone.hidden([image], [2])
    queries, keys, _ = backbone.project(hidden, 2)
    weights = (queries @ keys.mT * queries.shape[-1] ** -0.5).softmax(-1)[None]
    attention = Attention(weights, (2,), hidden.grid)
    found = backbone.finish(hidden, attention, residual=True, feed_forward=True)
    [described] = backbone.describe_patches([image])
    torch.testing.assert_close(found.vectors, described.vectors, atol=1e-4, rtol=1e-4)


def test_a_text_is_the_same_beside_a_longer_one_and_cut_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backbone = make()
    [alone], [beside, _] = (
        backbone.encode_text(texts) for texts in (["a dog"], ["a dog", "a dog on a long sofa"])
    )
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-5)
    assert len(alone) == 32
    [row] = backbone.reader.read_all(["dog " * 90])
    assert (len(row), row[-1]) == (77, 49_407)
    assert "lose their end" in caplog.text


def test_parts_that_are_not_here_are_said_with_their_address() -> None:
    for field, name in (("vision_head", HEAD), ("text_encoder", TEXTS)):
        with pytest.raises(MissingWeights, match="is not on this machine") as refused:
            make(**{field: f"/nowhere/{name}"}).check_weights()
        assert f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/{name}" in str(refused.value)
        assert f"--set backbone.{field}=PATH" in str(refused.value)


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("has no matrix block_list.0.mlp.w1", {"block_list.0.mlp.w1.weight": None}),
        ("lack: encoder.layer.1.norm1.bias", {"block_list.1.norm1.bias": None}),
        ("in another shape: layernorm.bias", {"ln_final.bias": torch.zeros(31)}),
        ("tokens of 8 numbers", {"block_list.0.mlp.w1.weight": torch.zeros(128, 8)}),
        ("are not read: linear_projection", {"linear_projection.weight": torch.zeros(32, 32)}),
    ],
)
def test_a_vision_head_that_does_not_fit_is_refused(
    words: str, changed: Changes, tmp_path: Path
) -> None:
    state = {**draw(head_shapes(), 0), **changed}
    torch.save({name: one for name, one in state.items() if one is not None}, tmp_path / "head.pth")
    with pytest.raises(BadWeights, match=words):
        make(vision_head=tmp_path / "head.pth").check_weights()


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("no matrix head.linear_projection", {"head.linear_projection.weight": None}),
        ("has 20 tokens", {"backbone.token_embedding.weight": torch.zeros(20, 128)}),
        ("have 32 numbers; it takes 64", {"head.linear_projection.weight": torch.zeros(32, 128)}),
        ("lack: text_model.final_layer_norm", {"backbone.ln_final.bias": None}),
        ("in another shape", {"backbone.positional_embedding": torch.zeros(77, 64)}),
        ("are not read: head.ln_final", {"head.ln_final.weight": torch.zeros(128)}),
    ],
)
def test_a_text_encoder_that_does_not_fit_is_refused(
    words: str, changed: Changes, tmp_path: Path
) -> None:
    state = {**draw(text_shapes(), 1), **changed}
    torch.save({name: one for name, one in state.items() if one is not None}, tmp_path / "text.pth")
    with pytest.raises(BadWeights, match=words):
        make(text_encoder=tmp_path / "text.pth").check_weights()


def test_files_that_hold_code_are_not_read(tmp_path: Path) -> None:
    torch.save({"ln_final.weight": print}, tmp_path / "code.pth")
    for field in dino_txt_twin():
        with pytest.raises(BadWeights, match="more than tensors"):
            make(**{field: tmp_path / "code.pth"}).check_weights()
