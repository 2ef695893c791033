"""Take over the image encoder of a CLIP or a DINO, so that a student starts from what it knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ovsskit._lazy import torch
from ovsskit.backbones import _segmenter as segmenter
from ovsskit.backbones._checkpoint import FOLDER_FILES, stored_names
from ovsskit.backbones.clip import _weights as clip
from ovsskit.backbones.clip.clip import Clip
from ovsskit.backbones.dino import _checkpoint as dino
from ovsskit.backbones.dino import _names as dino_names
from ovsskit.backbones.dino import _vision as dino_vision
from ovsskit.backbones.vit._checkpoint import VIT, VitShape
from ovsskit.errors import BadWeights, Place
from ovsskit.hub.weights import HubFiles, need_weights, read_files

FILES = HubFiles((*clip.FOLDER_FILES, *FOLDER_FILES), beside=(clip.CONFIG, "config.json"))
FIX = "Give a vision transformer of CLIP, DINO or DINOv2, `embedded`, or a student of this kind."
PLACES, CLASS = "pos_embed", "cls_token"
CLIP_NAMES = (
    (r"^class_embedding$", CLASS),
    (r"^positional_embedding$", PLACES),
    (r"^conv1\.", "patch_embed.proj."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^ln_post\.", "norm."),
    (r"^transformer\.resblocks\.", "blocks."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.ls_(\d)\.", r".ls\1."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
DINO_NAMES = (
    (r"^embeddings\.cls_token$", CLASS),
    (r"^embeddings\.position_embeddings$", PLACES),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)
"""From the names in the networks of `clip` and `dino` to those of timm, one after the other."""


def read_start(start: str) -> tuple[VitShape, dict[str, Any]]:
    """Return the shape and the tensors of an encoder, which takes ImageNet's colours.

    `start` is `embedded` (the packaged CLIP), a hub id, a folder or a file.

    Raises:
        MissingWeights, BadWeights: it is neither local nor downloadable, or another network.
    """
    path = need_weights(start, "main", Clip.embedded, FILES)
    files = [one for one in read_files(path, FILES).values() if one.suffix != ".json"]
    names = [name for file in files for name in stored_names(file)]
    if VIT.recognise(names):
        shape, network = VIT.read_configuration(path), VIT.read_network(path, torch.float32)
        return shape, dict(network.encoder.state_dict())
    if Clip.recognise(names):
        return _of_clip(Clip(weights=str(path)))
    if dino_names.recognise(names):
        return _of_dino(path)
    what = "A vision transformer cannot start from these weights."
    there = f"They begin with {', '.join(sorted(names)[:3])}." if names else ""
    raise BadWeights(what, there=there, fix=FIX, where=Place(str(path)))


def _of_clip(model: Clip) -> tuple[VitShape, dict[str, Any]]:
    visual = model.visual
    blocks = visual.transformer.resblocks
    hidden, width = blocks[0].mlp.c_fc.weight.shape
    shape = VitShape(
        trained_side=visual.image_size[0],
        patch=visual.patch_size[0],
        width=width,
        layers=len(blocks),
        heads=blocks[0].attn.num_heads,
        mlp_ratio=hidden / width,
        norm_before=isinstance(visual.ln_pre, torch.nn.LayerNorm),
        activation="gelu" if isinstance(blocks[0].mlp.gelu, torch.nn.GELU) else "quick_gelu",
        epsilon=model.epsilon,
    )
    state = _rename(visual.state_dict(), CLIP_NAMES)
    del state["proj"]
    state[CLASS], state[PLACES] = state[CLASS][None, None], state[PLACES][None]
    preparation = model.preprocess.transforms[-1]
    return shape, _finish(state, shape, preparation.mean, preparation.std)


def _of_dino(path: Path) -> tuple[VitShape, dict[str, Any]]:
    network = dino.read_network(path, torch.float32, 1e-6, with_norm=True)
    settings = network.config
    shape = VitShape(
        trained_side=settings.image_size,
        patch=settings.patch_size,
        width=settings.hidden_size,
        layers=settings.num_hidden_layers,
        heads=settings.num_attention_heads,
        mlp_ratio=settings.mlp_ratio,
        registers=settings.num_register_tokens,
        layer_scale=True,
        epsilon=1e-6,
    )
    state = network.state_dict()
    for number in range(shape.layers):
        for kind in ("weight", "bias"):
            names = [f"encoder.layer.{number}.attention.{one}_proj.{kind}" for one in "qkv"]
            state[f"blocks.{number}.attn.qkv.{kind}"] = torch.cat([state.pop(one) for one in names])
    named = _rename(state, DINO_NAMES)
    return shape, _finish(named, shape, dino_vision.MEAN, dino_vision.DEVIATION)


def _rename(state: Mapping[str, Any], names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found = {}
    for name, tensor in state.items():
        for old, new in names:
            name = re.sub(old, new, name)
        found[name] = tensor
    return found


def _finish(
    state: Mapping[str, Any], shape: VitShape, mean: Sequence[float], deviation: Sequence[float]
) -> dict[str, Any]:
    """Return tensors as the network takes them, of weights for other colours than ImageNet's.

    The class token's place is added to it. A patch's embedding is linear in its colours, so that
    another mean and deviation become part of its weights and, since it may have no bias, of the
    places.
    """
    found = {name: one.float() for name, one in state.items()}
    found[CLASS] = found[CLASS] + found[PLACES][:, :1]
    ours = torch.tensor([segmenter.MEAN, segmenter.DEVIATION])
    theirs = torch.tensor([mean, deviation])
    weight = found["patch_embed.proj.weight"] / theirs[1, :, None, None]
    added = (weight * (ours[0] - theirs[0])[:, None, None]).sum((1, 2, 3))
    found["patch_embed.proj.weight"] = weight * ours[1, :, None, None]
    found[PLACES] = found[PLACES][:, 1:] + added
    if not shape.norm_before:
        found.setdefault("patch_embed.proj.bias", torch.zeros_like(added))
    if not shape.registers:
        found.pop("reg_token", None)
    return found
