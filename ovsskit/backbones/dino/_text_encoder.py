"""dino.txt's text encoder: a causal transformer on CLIP's tokens, from the authors' file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import count_of, read_tensors, see_exact
from ovsskit.backbones._inferred import unfit
from ovsskit.backbones.dino._parts import need_part
from ovsskit.backbones.dino._published import TEXTS

WHOSE, FIX = "dino.txt's text encoder", f"Give a file such as {TEXTS}."
TOKENS = "backbone.token_embedding.weight"
FED, OUT = "backbone.blocks.0.feed_forward.fc1.weight", "head.linear_projection.weight"
BLOCK = r"^backbone\.blocks\.(\d+)\."
RENAMES = (
    (r"^backbone\.token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^backbone\.positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^backbone\.blocks\.", "text_model.encoder.layers."),
    (r"^backbone\.ln_final\.", "text_model.final_layer_norm."),
    (r"^head\.linear_projection\.", "text_projection."),
    (r"\.attention_norm\.", ".layer_norm1."),
    (r"\.ffn_norm\.", ".layer_norm2."),
    (r"\.feed_forward\.", ".mlp."),
    (r"\.attention\.proj\.", ".self_attn.out_proj."),
)
"""From the authors' names to those of transformers, one after the other."""
ROWS, READS = 49_408, 77
"""How many tokens CLIP's tokenizer has, and how many of a text the model reads."""
HEAD_WIDTH, EPSILON = 64, 1e-5
"""Of the published text encoder: 1280 numbers, 20 heads."""


def read_text_encoder(
    named: str, width: int, dtype: Any = None, *, shapes_only: bool = False
) -> Any:
    """Return the text encoder, whose vectors are as wide as two patches of this width.

    Raises:
        MissingWeights: there is no such file.
        BadWeights: it is broken, holds something else, or is for other patches or tokens.
    """
    path = need_part(named, "text_encoder")
    tensors = read_tensors(path, FIX, dtype, shapes_only=shapes_only)
    for name in (TOKENS, FED, OUT):
        if name not in tensors or tensors[name].ndim != 2:
            what = f"The file does not hold {WHOSE}: it has no matrix {name}."
            raise unfit(path, what, FIX)
    (rows, inside), out = tensors[TOKENS].shape, len(tensors[OUT])
    if rows != ROWS:
        what = f"The text encoder has {rows} tokens, and CLIP's tokenizer, which it reads, {ROWS}."
        raise unfit(path, what, FIX)
    if out != 2 * width:
        what = (
            f"The vectors of texts have {out} numbers; it takes {2 * width}: as many as a class "
            "token and a patch."
        )
        raise unfit(path, what, FIX)
    with torch.device("meta"):
        network = transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig(
                vocab_size=rows,
                hidden_size=inside,
                intermediate_size=len(tensors[FED]),
                projection_dim=out,
                num_hidden_layers=count_of(tensors, BLOCK),
                num_attention_heads=max(1, inside // HEAD_WIDTH),
                max_position_embeddings=READS,
                hidden_act="gelu",
                layer_norm_eps=EPSILON,
                eos_token_id=ROWS - 1,
            )
        ).eval()
    state = _renamed(tensors)
    see_exact(state, network, WHOSE, path, FIX)
    if not shapes_only:
        network.load_state_dict(state, assign=True)
        places = torch.arange(READS)[None]
        network.text_model.embeddings.position_ids = places  # in no file, and empty until now
    return network


def _renamed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by the network's names; queries, keys and values get one each.

    The library adds numbers to these three, which the authors do not: they are 0.
    """
    state = {}
    for name, tensor in tensors.items():
        for old, new in RENAMES:
            name = re.sub(old, new, name)
        if name.endswith(".attention.qkv.weight"):
            stem = name.removesuffix(".attention.qkv.weight")
            for part, one in zip("qkv", tensor.chunk(3), strict=True):
                state[f"{stem}.self_attn.{part}_proj.weight"] = one
                state[f"{stem}.self_attn.{part}_proj.bias"] = torch.zeros_like(one[:, 0])
        else:
            state[name] = tensor
    return state
