"""dino.txt's vision head: blocks on what leaves a frozen DINOv2, read from the authors' file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import timm, torch, transformers
from ovsskit.backbones._checkpoint import count_of, read_tensors, see_exact
from ovsskit.backbones._inferred import split_attention, unfit
from ovsskit.backbones.dino._parts import need_part
from ovsskit.backbones.dino._published import HEAD

WHOSE, FIX = "dino.txt's vision head", f"Give a file such as {HEAD}."
BLOCK, GATE = r"^block_list\.(\d+)\.", "block_list.0.mlp.w1.weight"
RENAMES = (
    (r"^block_list\.", "encoder.layer."),
    (r"^ln_final\.", "layernorm."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls(\d)\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.mlp\.w1\.", ".mlp.fc1_g."),
    (r"\.mlp\.w2\.", ".mlp.fc1_x."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
)
"""From the authors' names to those of transformers and timm, one after the other."""
EPSILON = 1e-5
"""Of the head's norms; those of DINOv2 add 1e-6."""


def read_vision_head(
    named: str, width: int, heads: int, dtype: Any = None, *, shapes_only: bool = False
) -> Any:
    """Return the blocks and the norm after them, for DINOv2 of this width and number of heads.

    Raises:
        MissingWeights: there is no such file.
        BadWeights: it is broken, holds something else, or is for another DINOv2.
    """
    path = need_part(named, "vision_head")
    tensors = read_tensors(path, FIX, dtype, shapes_only=shapes_only)
    if GATE not in tensors or tensors[GATE].ndim != 2:
        what = f"The file does not hold {WHOSE}: it has no matrix {GATE}."
        raise unfit(path, what, FIX)
    inside, entering = tensors[GATE].shape
    if entering != width:
        what = f"The vision head is for tokens of {entering} numbers, and DINOv2's have {width}."
        raise unfit(path, what, FIX)
    with torch.device("meta"):
        network = transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(
                hidden_size=width,
                num_hidden_layers=count_of(tensors, BLOCK),
                num_attention_heads=heads,
                qkv_bias=False,
                layer_norm_eps=EPSILON,
            )
        ).eval()
        for block in network.encoder.layer:  # the library allows no such width of its own
            block.mlp = timm.layers.SwiGLU(width, inside).eval()
    network.embeddings = None
    state = _renamed(tensors)
    see_exact(state, network, WHOSE, path, FIX)
    if not shapes_only:
        network.load_state_dict(state, assign=True)
    return network


def _renamed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by the network's names; queries, keys and values get one each."""
    state = {}
    for name, tensor in tensors.items():
        for old, new in RENAMES:
            name = re.sub(old, new, name)
        state[name] = tensor
    return split_attention(state)
