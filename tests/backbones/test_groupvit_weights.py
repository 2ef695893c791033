"""Groups and texts are those of transformers' model; checkpoints of both namings are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from groupvit_twin import groupvit_twin, write_groupvit
from noise_images import noise
from safetensors.torch import load_file, save_file

from ovsskit.backbones.groupvit.groupvit import Groupvit
from ovsskit.errors import BadValue, BadWeights

NAMES = (
    (r"^vision_model\.embeddings\.patch_embeddings\.projection\.", "img_encoder.patch_embed.proj."),
    (r"^vision_model\.embeddings\.layernorm\.", "img_encoder.patch_embed.norm."),
    (r"^vision_model\.embeddings\.position_embeddings$", "img_encoder.pos_embed"),
    (r"^vision_model\.encoder\.stages\.", "img_encoder.layers."),
    (r"^vision_model\.layernorm\.", "img_encoder.norm."),
    (r"^(img.*)\.layers\.(\d+)\.layer_norm(\d)\.", r"\1.blocks.\2.norm\3."),
    (r"^(img.*)\.layers\.(\d+)\.self_attn\.out_proj\.", r"\1.blocks.\2.attn.proj."),
    (r"^(img.*)\.layers\.(\d+)\.self_attn\.", r"\1.blocks.\2.attn."),
    (r"^(img.*)\.layers\.(\d+)\.mlp\.", r"\1.blocks.\2.mlp."),
    (r"pre_assign_attn\.attn\.out_proj", "pre_assign_attn.attn.proj"),
    (r"^text_model\.embeddings\.token_embedding\.", "text_encoder.token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "text_encoder.positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "text_encoder.ln_final."),
    (r"^text_model\.encoder\.layers\.", "text_encoder.transformer.resblocks."),
    (r"^(text_enc.*)\.self_attn\.out_proj\.", r"\1.attn.out_proj."),
    (r"^(text_enc.*)\.layer_norm(\d)\.", r"\1.ln_\2."),
    (r"^(text_enc.*)\.mlp\.fc1\.", r"\1.mlp.c_fc."),
    (r"^(text_enc.*)\.mlp\.fc2\.", r"\1.mlp.c_proj."),
    (r"^visual_projection\.3\.", "img_projector.linear_out."),
    (r"^visual_projection\.", "img_projector.linear_hidden."),
    (r"^text_projection\.3\.", "text_projector.linear_out."),
    (r"^text_projection\.", "text_projector.linear_hidden."),
)
"""From the hub's names to the authors', one after the other."""


def authors_names(network: Any) -> dict[str, torch.Tensor]:
    """Return the tensors by the authors' names: queries, keys and values in one, convolutions."""
    found: dict[str, torch.Tensor] = {}
    state = network.state_dict()
    for name, tensor in state.items():
        if re.search(r"layers\.\d+\.self_attn\.[kv]_proj", name):
            continue
        if part := re.search(r"(layers\.\d+\.self_attn\.)q_proj", name):
            tensor = torch.cat([state[name.replace("q_proj", f"{one}_proj")] for one in "qkv"])
            one = "in_proj_" if name.startswith("text") else "qkv."
            name = name.replace(f"{part[1]}q_proj.", f"{part[1]}{one}")
            name = name.replace("self_attn.in_proj_", "attn.in_proj_")
        for old, new in NAMES:
            name = re.sub(old, new, name)
        is_linear = name.startswith(("img_projector", "text_projector")) and tensor.dim() == 2
        found[name] = tensor[..., None] if is_linear else tensor
    return found


def test_groups_of_the_trained_size_are_the_librarys(tmp_path: Path) -> None:
    network = write_groupvit(tmp_path / "hub")
    backbone, image = Groupvit(weights=str(tmp_path / "hub")), noise(64, 64)
    pixels = backbone.pixels(image)[None]
    with torch.no_grad():
        seen = network.vision_model(pixels, output_attentions=True, return_dict=True)
        wholes = network.visual_projection(seen.pooler_output)
        vectors = network.visual_projection(seen.last_hidden_state[0])
    [found] = backbone.group_patches([image])
    torch.testing.assert_close(found.image, wholes[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.features, vectors, atol=1e-4, rtol=1e-4)
    first, second = (one[0] for one in seen.attentions)
    expected = torch.einsum("gs,sp->gp", second, first).unflatten(1, (4, 4))
    torch.testing.assert_close(found.assignment, expected, atol=1e-5, rtol=1e-5)
    assert found.scale == pytest.approx(20.0855, rel=1e-4)


def test_scale_is_limited_as_released(tmp_path: Path) -> None:
    write_groupvit(tmp_path / "hub")
    file = tmp_path / "hub" / "model.safetensors"
    save_file(load_file(file) | {"logit_scale": torch.tensor(6.0)}, file)
    [found] = Groupvit(weights=str(tmp_path / "hub")).group_patches([noise(32, 48)])
    assert found.scale == 100.0
    assert found.assignment.shape == (3, 2, 3)


def test_texts_are_the_librarys(tmp_path: Path) -> None:
    network = write_groupvit(tmp_path / "hub")
    texts = ["a photo of a dog.", "cat"]
    ids = open_clip.SimpleTokenizer(context_length=77)(texts)
    with torch.no_grad():
        states = network.text_model(input_ids=ids)
        expected = network.text_projection(states.pooler_output)
    found = Groupvit(weights=str(tmp_path / "hub")).encode_text(texts)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_checkpoints_of_the_authors_are_read_and_converted(tmp_path: Path) -> None:
    network = write_groupvit(tmp_path / "hub")
    state = authors_names(network)
    assert not [name for name in state if "_model" in name]
    folder = tmp_path / "authors"
    folder.mkdir()
    (folder / "config.json").write_text((tmp_path / "hub" / "config.json").read_text())
    state["multi_label_logit_scale"] = torch.ones(())
    torch.save({"model": state, "epoch": 29}, folder / "group_vit.pth")
    authors = Groupvit(weights=str(folder / "group_vit.pth"))
    authors.check_weights()
    authors.convert_weights(tmp_path / "new" / "group_vit.safetensors")
    assert "multi_label_logit_scale" not in load_file(tmp_path / "new" / "group_vit.safetensors")
    again = Groupvit(weights=str(tmp_path / "new" / "group_vit.safetensors"))
    hub, image = Groupvit(weights=str(tmp_path / "hub")), noise(40, 70)
    [expected] = hub.group_patches([image])
    for other in (authors, again):
        [found] = other.group_patches([image])
        torch.testing.assert_close(found.assignment, expected.assignment, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.features, expected.features, atol=1e-4, rtol=1e-4)
        texts = other.encode_text(["dog"])
        torch.testing.assert_close(texts, hub.encode_text(["dog"]), atol=1e-4, rtol=1e-4)


def test_images_smaller_than_a_patch_are_refused() -> None:
    with pytest.raises(BadValue, match="smaller than a patch of 16"):
        Groupvit(weights=groupvit_twin()).group_patches([noise(15, 40)])


def test_other_weights_are_refused(tmp_path: Path) -> None:
    write_groupvit(tmp_path / "hub")
    file = tmp_path / "hub" / "model.safetensors"
    state = load_file(file)
    name = "vision_model.encoder.stages.1.downsample.norm_x.bias"
    save_file({key: one for key, one in state.items() if key != name}, file)
    with pytest.raises(BadWeights, match=f"lack: {name}"):
        Groupvit(weights=str(tmp_path / "hub")).check_weights()
    save_file({"visual.conv1.weight": torch.zeros(1)}, file)
    with pytest.raises(BadWeights, match="not those of a GroupViT"):
        Groupvit(weights=str(tmp_path / "hub")).check_weights()
