"""Tokens, queries, keys and values are those of the libraries that publish DINO; weights of both
namings are read, and others are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from dino_twin import SHAPE, dino_twin, fill
from noise_images import noise
from safetensors.torch import load_file, save_file

from ovsskit.backbones.dino._published import DINO
from ovsskit.backbones.dino._vision import place_embeddings
from ovsskit.backbones.dino.dino import Dino
from ovsskit.errors import BadValue, BadWeights

FILE = "model.safetensors"
MODELS = {
    "dino": (transformers.ViTModel, transformers.ViTConfig, {"intermediate_size": 64}),
    "dinov2": (transformers.Dinov2Model, transformers.Dinov2Config, {"mlp_ratio": 2}),
    "registers": (
        transformers.Dinov2WithRegistersModel,
        transformers.Dinov2WithRegistersConfig,
        {"mlp_ratio": 2},
    ),
}


def write(name: str, folder: Path) -> Any:
    """Write a model as the hub has it, by the names that its files have there."""
    cls, config, more = MODELS[name]
    network = fill(cls(config(**SHAPE, **more, layer_norm_eps=1e-6)))
    chatter = transformers.utils.logging
    chatter.disable_progress_bar()
    network.save_pretrained(folder)
    chatter.enable_progress_bar()
    return network


@pytest.mark.parametrize("name", MODELS)
def test_tokens_are_those_of_the_library(name: str, tmp_path: Path) -> None:
    network = write(name, tmp_path)
    assert any(".attention.attention.query." in one for one in load_file(tmp_path / FILE))
    how = "size_antialias" if name == "registers" else "size"
    backbone, image = Dino(weights=str(tmp_path), positions=how), noise(24, 56)
    options = {"interpolate_pos_encoding": True} if name == "dino" else {}
    pixels = backbone.pixels(image)[None]
    with torch.no_grad():
        states = network(pixels, output_hidden_states=True, **options).hidden_states
    [hidden] = backbone.hidden([image], [1, 2, 3])
    assert hidden.grid == (3, 7)
    first = 5 if name == "registers" else 1
    for layer in (1, 2, 3):
        expected = torch.cat([states[layer - 1][0, :1], states[layer - 1][0, first:]])
        torch.testing.assert_close(hidden.entering(layer), expected, atol=1e-5, rtol=1e-5)


def authors_names(network: Any) -> dict[str, torch.Tensor]:
    """Return DINO's tensors by its authors' names, queries, keys and values in one."""
    state, found = network.state_dict(), {}
    plain = {
        "embeddings.cls_token": "cls_token",
        "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "layernorm.weight": "norm.weight",
        "layernorm.bias": "norm.bias",
    }
    for theirs, ours in plain.items():
        found[ours] = state[theirs]
    parts = {
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.o_proj": "attn.proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    for layer in range(SHAPE["num_hidden_layers"]):
        for kind in ("weight", "bias"):
            for theirs, ours in parts.items():
                found[f"blocks.{layer}.{ours}.{kind}"] = state[f"layers.{layer}.{theirs}.{kind}"]
            found[f"blocks.{layer}.attn.qkv.{kind}"] = torch.cat(
                [state[f"layers.{layer}.attention.{one}_proj.{kind}"] for one in "qkv"]
            )
    return found


@pytest.mark.parametrize("prefix", ["", "teacher.backbone."])
def test_checkpoints_of_the_authors_are_read(prefix: str, tmp_path: Path) -> None:
    network = write("dino", tmp_path / "hub")
    state = {f"{prefix}{name}": one for name, one in authors_names(network).items()}
    torch.save({"state_dict": state}, tmp_path / "dino.pth")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 2}))
    ours, hub = Dino(weights=str(tmp_path / "dino.pth")), Dino(weights=str(tmp_path / "hub"))
    image = noise(33, 50)
    [mine], [theirs] = ours.hidden([image], [3]), hub.hidden([image], [3])
    assert torch.equal(mine.data, theirs.data)
    for one, other in zip(ours.project(mine, 3), hub.project(theirs, 3), strict=True):
        assert one.shape == (2, 36, 16)
        assert torch.equal(one, other)
    ours.convert_weights(tmp_path / "new" / "dino.safetensors")
    [again] = Dino(weights=str(tmp_path / "new" / "dino.safetensors")).hidden([image], [3])
    assert torch.equal(again.data, mine.data)


def test_keys_are_what_the_last_block_attends_by(tmp_path: Path) -> None:
    network = write("dino", tmp_path)
    backbone = Dino(weights=str(tmp_path))
    [hidden] = backbone.hidden([noise(40, 40)], [3])
    queries, keys, values = backbone.project(hidden, 3)
    found = torch.nn.functional.scaled_dot_product_attention(queries, keys, values)
    attention = network.layers[2].attention
    with torch.no_grad():
        joined = attention.o_proj(found.transpose(0, 1).flatten(1))
        expected, _ = attention(network.layers[2].layernorm_before(hidden.data))
    torch.testing.assert_close(joined, expected[0], atol=1e-5, rtol=1e-5)


def test_table_of_positions_stays_only_on_the_square_of_the_training() -> None:
    """A grid of as many patches in another shape has positions of its own."""
    table = torch.randn(17, 5, generator=torch.Generator().manual_seed(0))
    assert place_embeddings(table, (4, 4), "scale") is table
    for how in ("scale", "size"):
        wide = place_embeddings(table, (2, 8), how)
        assert wide.shape == table.shape
        assert not torch.equal(wide, table)
        assert torch.equal(wide[0], table[0])
    nearby = [place_embeddings(table, (3, 6), how) for how in ("scale", "size", "size_antialias")]
    assert 1e-3 < float((nearby[0] - nearby[1]).abs().max()) < 1
    assert float((nearby[1] - nearby[2]).abs().max()) > 1e-3


def test_original_positions_depend_on_the_registers(tmp_path: Path) -> None:
    rules = {"dino": "scale", "dinov2": "scale", "registers": "size_antialias"}
    for name, rule in rules.items():
        write(name, tmp_path / name)
        [original], [named] = (
            Dino(weights=str(tmp_path / name), positions=how).hidden([noise(24, 56)], [2])
            for how in ("original", rule)
        )
        assert torch.equal(original.data, named.data)


def test_leftover_pixels_become_patches_of_the_mean_colour_or_are_dropped() -> None:
    image = noise(19, 27)
    padded, dropped = Dino(weights=dino_twin()), Dino(weights=dino_twin(), leftover="drop")
    assert padded.pixels(image).shape == (3, 24, 32)
    assert not padded.pixels(image)[:, 19:].any()
    assert not padded.pixels(image)[:, :, 27:].any()
    assert padded.hidden([image], [1])[0].grid == (3, 4)
    assert dropped.hidden([image], [1])[0].grid == (2, 3)
    assert padded.hidden([noise(1, 3)], [1])[0].grid == (1, 1)
    with pytest.raises(BadValue, match="3 x 1 pixels, smaller than a patch of 8"):
        dropped.hidden([noise(1, 3)], [1])


def test_hidden_patches_are_at_the_mean_colour() -> None:
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[1, 2] = mask[2, 3] = True
    pixels = Dino(weights=dino_twin()).pixels(noise(19, 27).hide(mask))
    assert not pixels[:, 8:16, 16:24].any()
    assert pixels[:, :8].any()


def test_blocks_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadValue, match="Layers 4 are asked for; the model has 1 to 3"):
        Dino(weights=dino_twin()).hidden([noise(24, 24)], [4])


def test_epsilon_is_that_of_all_layer_norms() -> None:
    [first], [second] = (
        Dino(weights=dino_twin(), epsilon=epsilon).hidden([noise(24, 24)], [3])
        for epsilon in (1e-6, 1e-1)
    )
    assert float((first.data - second.data).abs().max()) > 1e-3


def change(folder: Path, changes: dict[str, torch.Tensor | None]) -> Dino:
    folder.mkdir()
    state = load_file(Path(dino_twin()) / FILE) | changes
    save_file({name: one for name, one in state.items() if one is not None}, folder / FILE)
    return Dino(weights=str(folder))


BIAS = "encoder.layer.1.mlp.fc1.bias"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({BIAS: None}, f"These weights of a DINO lack: {BIAS}."),
        ({BIAS: torch.zeros(7)}, f"These weights of a DINO have in another shape: {BIAS}."),
        (
            {"embeddings.position_embeddings": torch.zeros(1, 25, 32)},
            "These weights of a DINO have in another shape: embeddings.position_embeddings.",
        ),
        (
            {"embeddings.patch_embeddings.projection.weight": None},
            "These weights are not those of a DINO.",
        ),
        (
            {"embeddings.patch_embeddings.projection.weight": torch.zeros(32, 192)},
            "The shapes of these weights are not those of a DINO.",
        ),
        (
            {"embeddings.position_embeddings": torch.zeros(26)},
            "The shapes of these weights are not those of a DINO.",
        ),
    ],
)
def test_other_weights_are_refused(
    changes: dict[str, torch.Tensor | None], message: str, tmp_path: Path
) -> None:
    backbone = change(tmp_path / "changed", changes)
    for use in (backbone.check_weights, backbone.prepare):
        with pytest.raises(BadWeights) as caught:
            use()
        assert caught.value.what == message


def test_a_dinov2_without_one_of_its_layer_scales_is_refused(tmp_path: Path) -> None:
    write("dinov2", tmp_path)
    file = tmp_path / FILE
    state = load_file(file)
    scale = next(one for one in state if "layer_scale1" in one)
    save_file({one: tensor for one, tensor in state.items() if one != scale}, file)
    with pytest.raises(BadWeights, match=f"lack: {scale}"):
        Dino(weights=str(tmp_path)).prepare()


def test_a_broken_configuration_is_named(tmp_path: Path) -> None:
    backbone = change(tmp_path / "changed", {})
    (tmp_path / "changed" / "config.json").write_text('{"num_attention_heads": "many"}')
    with pytest.raises(BadWeights, match="configuration cannot be read"):
        backbone.prepare()


@pytest.mark.parametrize(
    ("name", "width", "patch"),
    [("dino-vits8", 384, 8), ("dino-vitb8", 768, 8), ("dino-vitb16", 768, 16)],
)
def test_sizes_of_published_models(name: str, width: int, patch: int) -> None:
    config = transformers.ViTConfig(
        hidden_size=width,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        patch_size=patch,
    )
    with torch.device("meta"):
        network = transformers.ViTModel(config, add_pooling_layer=False)
    assert DINO[f"facebook/{name}"].network == 4 * sum(one.numel() for one in network.parameters())


def test_size_of_the_published_model_with_registers() -> None:
    config = transformers.Dinov2WithRegistersConfig(image_size=518, patch_size=14)
    with torch.device("meta"):
        network = transformers.Dinov2WithRegistersModel(config)
    count = sum(one.numel() for one in network.parameters())
    assert DINO["facebook/dinov2-with-registers-base"].network == 4 * count
