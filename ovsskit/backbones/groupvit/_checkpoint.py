"""Read checkpoints of GroupViT, the authors' and those of the hub, into transformers' network."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ovsskit._lazy import torch
from ovsskit.backbones._checkpoint import (
    count_of,
    has_marks,
    read_tensors,
    see_fit,
    weights_file,
    write_tensors,
)
from ovsskit.backbones._inferred import (
    Heads,
    build_empty,
    infer,
    read_beside,
    see_known,
    split_attention,
)

NAME = "GroupViT"
FIX = "Give a GroupViT, such as nvidia/groupvit-gcc-yfcc, or its authors' checkpoint."
PATCHES = "vision_model.embeddings.patch_embeddings.projection.weight"
POSITIONS = "vision_model.embeddings.position_embeddings"
STAGE = r"^vision_model\.encoder\.stages\.(\d+)\."
TEXT_LAYER = r"^text_model\.encoder\.layers\.(\d+)\."
COUNTED = "num_batches_tracked"
"""What batch norm counts in training alone."""
HEAD_WIDTH = 64
"""Of the published models, in both encoders."""
VISION, TEXT = "vision_model.", "text_model."
RENAMES = (
    (r"^img_encoder\.patch_embed\.proj\.", f"{VISION}embeddings.patch_embeddings.projection."),
    (r"^img_encoder\.patch_embed\.norm\.", f"{VISION}embeddings.layernorm."),
    (r"^img_encoder\.pos_embed$", POSITIONS),
    (r"^img_encoder\.layers\.", f"{VISION}encoder.stages."),
    (r"^img_encoder\.norm\.", f"{VISION}layernorm."),
    (r"\.blocks\.(\d+)\.norm(\d)\.", r".layers.\1.layer_norm\2."),
    (r"\.blocks\.(\d+)\.attn\.proj\.", r".layers.\1.self_attn.out_proj."),
    (r"\.blocks\.(\d+)\.attn\.", r".layers.\1.self_attn."),
    (r"\.blocks\.", ".layers."),
    (r"\.pre_assign_attn\.attn\.proj\.", ".pre_assign_attn.attn.out_proj."),
    (r"^text_encoder\.token_embedding\.", f"{TEXT}embeddings.token_embedding."),
    (r"^text_encoder\.positional_embedding$", f"{TEXT}embeddings.position_embedding.weight"),
    (r"^text_encoder\.ln_final\.", f"{TEXT}final_layer_norm."),
    (r"^text_encoder\.transformer\.resblocks\.", f"{TEXT}encoder.layers."),
    (r"\.attn\.in_proj_(weight|bias)$", r".self_attn.qkv.\1"),
    (r"^(text_model.*)\.attn\.out_proj\.", r"\1.self_attn.out_proj."),
    (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^img_projector\.", "visual_projection."),
    (r"^text_projector\.", "text_projection."),
    (r"_projection\.linear_hidden\.", "_projection."),
    (r"_projection\.linear_out\.", "_projection.3."),
)
"""From the authors' names to the hub's, one after the other."""


class Configuration(BaseModel, extra="allow"):
    """Give the shape of a `config.json` of the hub."""

    vision_config: Heads = Heads()
    text_config: Heads = Heads()


def recognise(names: Collection[str]) -> str:
    """Return GroupViT's name if tensors of such names are those of it, else an empty text."""
    marks = (rf"^{re.escape(PATCHES)}$", rf"{STAGE}downsample\.assign\.q_proj")
    return NAME if has_marks([rename(name) for name in names], marks) else ""


def rename(name: str) -> str:
    """Return the hub's name of a tensor in a checkpoint."""
    for old, new in RENAMES:
        name = re.sub(old, new, name)
    return name


def read_network(path: Path) -> Any:
    """Return the network of a checkpoint or its folder.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    network, state, _ = _read(path)
    network.load_state_dict(state, strict=False, assign=True)
    for module in (network.visual_projection[1], network.text_projection[1]):
        module.num_batches_tracked = torch.zeros((), dtype=torch.int64)
    embeddings = network.text_model.embeddings  # its numbers of places are not stored
    count = embeddings.position_embedding.weight.shape[0]
    embeddings.position_ids = torch.arange(count).expand((1, -1))
    return network


def check(path: Path) -> None:
    """Refuse weights by the names and shapes of tensors.

    Raises:
        BadWeights: they do not fit.
    """
    _read(path, shapes_only=True)


def convert(path: Path, file: Path, beside: Collection[Path]) -> None:
    """Write what is read of a checkpoint as safetensors, and copies of what lies beside it.

    Raises:
        BadWeights, BadOutput, CannotWrite: the weights do not fit, or the files cannot be written.
    """
    _, _, taken = _read(path)
    write_tensors(file, taken, beside)


def _read(path: Path, *, shapes_only: bool = False) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return the empty network, its tensors, and those of the file that they are made of."""
    tensors = read_tensors(weights_file(path, FIX), FIX, shapes_only=shapes_only)
    see_known(recognise(tensors), tensors, "a GroupViT", path, FIX)
    state = _to_hub(tensors)
    said = read_beside(path, Configuration, FIX)
    config = infer(lambda: _configure(state, said), "GroupViT", path, FIX)
    network = build_empty("GroupViT", config, "GroupViT", path, FIX)
    needed = {name: one for name, one in network.state_dict().items() if COUNTED not in name}
    see_fit(state, needed, "GroupViT", path, FIX)
    taken = {name: one for name, one in tensors.items() if needed.keys() & _to_hub({name: one})}
    return network, {name: state[name] for name in needed}, taken


def _to_hub(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by the hub's names; queries, keys and values have one each there."""
    found = {}
    for name, tensor in tensors.items():
        renamed = rename(name)
        if "_projection." in renamed and tensor.dim() == 3:
            tensor = tensor[..., 0]  # a convolution of size 1
        found[renamed] = tensor
    return split_attention(found, ".self_attn.qkv.", ".self_attn.{}_proj.")


def _configure(state: Mapping[str, Any], said: Configuration) -> dict[str, Any]:
    """Infer a configuration from shapes, which say everything but the numbers of heads."""
    width, _, patch, _ = state[PATCHES].shape
    side = round(state[POSITIONS].shape[1] ** 0.5)
    stages = [f"vision_model.encoder.stages.{index}" for index in range(count_of(state, STAGE))]
    assigning = [f"{stage}.downsample.mlp_inter.fc2.weight" for stage in stages]
    groups = [state[name].shape[0] if name in state else 0 for name in assigning]
    tokens = [
        state[f"{stage}.group_token"].shape[1] if f"{stage}.group_token" in state else 0
        for stage in stages
    ]
    words, text_width = state["text_model.embeddings.token_embedding.weight"].shape
    depths = [count_of(state, rf"^{re.escape(stage)}\.layers\.(\d+)\.") for stage in stages]
    inner, outer = state["visual_projection.0.weight"], state["visual_projection.3.weight"]
    return {
        "projection_dim": outer.shape[0],
        "projection_intermediate_dim": inner.shape[0],
        "vision_config": {
            "hidden_size": width,
            "intermediate_size": state[f"{stages[0]}.layers.0.mlp.fc1.weight"].shape[0],
            "depths": depths,
            "num_hidden_layers": sum(depths),
            "num_group_tokens": tokens,
            "num_output_groups": groups,
            "num_attention_heads": said.vision_config.num_attention_heads
            or max(1, width // HEAD_WIDTH),
            "image_size": side * patch,
            "patch_size": patch,
        },
        "text_config": {
            "vocab_size": words,
            "hidden_size": text_width,
            "intermediate_size": state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
            "num_hidden_layers": count_of(state, TEXT_LAYER),
            "num_attention_heads": said.text_config.num_attention_heads
            or max(1, text_width // HEAD_WIDTH),
            "max_position_embeddings": state[
                "text_model.embeddings.position_embedding.weight"
            ].shape[0],
            "bos_token_id": None,
            "pad_token_id": None,
            "eos_token_id": 2,  # by which transformers reads the token with the highest number
        },
    }
