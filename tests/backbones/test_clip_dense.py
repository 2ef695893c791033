"""Patches of a ViT are MaskCLIP's, and those of a ResNet its attention pool's values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from clip_twin import clip_twin
from dino_twin import fill
from noise_images import noise
from safetensors.torch import save_file

from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.clip.clip_dense import ClipDense

RESNET: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def write_resnet(folder: Path) -> Any:
    network = fill(open_clip.CLIP(**RESNET))
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": RESNET}))
    state = {name: one.contiguous() for name, one in network.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return network


def test_patches_of_a_resnet_without_pooling(tmp_path: Path) -> None:
    network = write_resnet(tmp_path)
    backbone, image = ClipDense(weights=str(tmp_path)), noise(70, 100)
    seen: list[torch.Tensor] = []
    network.visual.layer4.register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.no_grad(), pytest.raises(RuntimeError):  # its pool has no positions for this size
        network.visual(Clip(weights=str(tmp_path)).normalise(image)[None])
    pool, (maps,) = network.visual.attnpool, seen
    with torch.no_grad():
        values = torch.einsum("ow,whc->ohc", pool.v_proj.weight, maps[0])
        values = values + pool.v_proj.bias[:, None, None]
        expected = torch.einsum("ow,whc->ohc", pool.c_proj.weight, values)
        expected = expected + pool.c_proj.bias[:, None, None]
    [found] = backbone.describe_patches([image])
    torch.testing.assert_close(found.data, expected, atol=1e-3, rtol=1e-3)


def test_patches_of_a_vision_transformer_are_the_values_of_its_last_block() -> None:
    backbone, clip, image = ClipDense(weights=clip_twin()), Clip(weights=clip_twin()), noise(64, 80)
    [hidden] = clip.hidden([image], [clip.block_count])
    visual = clip.network.visual
    block = visual.transformer.resblocks[-1]
    width = block.attn.embed_dim
    with torch.no_grad():
        normalised = block.ln_1(hidden.entering(clip.block_count))
        values = normalised @ block.attn.in_proj_weight[2 * width :].T
        values = values + block.attn.in_proj_bias[2 * width :]
        expected = visual.ln_post(block.attn.out_proj(values)) @ visual.proj
    [found] = backbone.describe_patches([image])
    torch.testing.assert_close(
        found.data, expected[1:].T.unflatten(1, hidden.grid), atol=1e-4, rtol=1e-4
    )


def test_texts_and_whole_images_are_clips_own() -> None:
    dense, clip = ClipDense(weights="embedded"), Clip(weights="embedded")
    assert torch.equal(dense.encode_text(["a dog"]), clip.encode_text(["a dog"]))
    image = noise(50, 60)
    assert torch.equal(dense.encode_image([image]), clip.encode_image([image]))
    assert dense.digest == clip.digest
    assert dense.source == clip.source
