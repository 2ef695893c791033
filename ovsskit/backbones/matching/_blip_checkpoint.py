"""Read BLIP's image-text matching network from a Hugging Face folder, or from an original checkpoint of LAVIS."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ovsskit._lazy import transformers
from ovsskit.backbones._checkpoint import (
    Family,
    check_fit,
    count_of,
    fill,
    make_config,
    read_json,
    read_official,
    rename,
    rename_back,
)

UNUSED = re.compile(r"_m(\.|$)|queue|^temp$|position_ids$")
"""Momentum copies, queues, and what does not weigh."""
HEAD_WIDTH = 64
"""Width of an attention head in every published BLIP; an original checkpoint does not say it."""
VISION_EPSILON = 1e-6
"""Of the image encoder's layer norms: so trained, though configurations of converted models say 1e-5."""
VISION_RENAMES = (
    ("visual_encoder.", "vision_model."),
    ("vision_model.cls_token", "vision_model.embeddings.class_embedding"),
    ("vision_model.pos_embed", "vision_model.embeddings.position_embedding"),
    ("vision_model.patch_embed.proj.", "vision_model.embeddings.patch_embedding."),
    ("vision_model.norm.", "vision_model.post_layernorm."),
    ("vision_model.blocks.", "vision_model.encoder.layers."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
)
"""From the names of LAVIS to those of transformers; the text encoder's are the same in both."""


def name_in_file(name: str, stored: Collection[str]) -> str:
    """Return the name of a tensor of the network in a file with such names: of LAVIS or of transformers."""
    return (
        rename_back(name, VISION_RENAMES)
        if any(one.startswith("visual_encoder.") for one in stored)
        else name
    )


BLIP = Family(
    "BLIP",
    "itm_head.",
    "Give a BLIP image-text matching model, such as Salesforce/blip-itm-large-flickr.",
    lambda name: "" if UNUSED.search(name) else name,
    name_in_file,
)


def read_network(path: Path, dtype: Any) -> Any:
    """Return the network of a folder, or of an original checkpoint (a `.pth` or `.pt` file), in a number format.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    config, state, there = _read(path, dtype, shapes_only=False)
    check_fit(BLIP, path, transformers.BlipForImageTextRetrieval, config, state, there)
    return fill(transformers.BlipForImageTextRetrieval, config, state, dtype)


def check_network(path: Path) -> int:
    """Refuse weights that do not fit, by the names and shapes of their tensors; return the rows of word embeddings.

    Raises:
        BadWeights: they do not fit.
    """
    config, state, there = _read(path, None, shapes_only=True)
    check_fit(BLIP, path, transformers.BlipForImageTextRetrieval, config, state, there)
    return int(config.text_config.vocab_size)


def _read(path: Path, dtype: Any, *, shapes_only: bool) -> tuple[Any, dict[str, Any], str]:
    """Return configuration, tensors by the names of transformers, and what the configuration says it is."""
    named = ""
    if path.is_dir():
        config = read_json(path / "config.json", BLIP)
        named = f"Its config.json says: {', '.join(config.get('architectures') or ['no class'])} (model_type {config['model_type']})."
        if config.get("model_type") != "blip":
            raise BLIP.unfit(
                path, "These are the weights of another architecture than BLIP.", named
            )
        # A configuration that leaves the heads out means BERT's 12, not the default of BlipTextConfig.
        config["text_config"] = {"num_attention_heads": 12, **config["text_config"]}
        config["vision_config"] = {**config["vision_config"], "layer_norm_eps": VISION_EPSILON}
    state = read_official(path, BLIP, dtype, shapes_only=shapes_only)
    state = {rename(key, VISION_RENAMES): value for key, value in state.items()}
    if not path.is_dir():
        try:
            config = _infer_config(state)
        except KeyError as error:
            raise BLIP.lacks(path, error.args) from error
    return make_config(transformers.BlipConfig, config, BLIP, path), state, named


def _infer_config(state: Mapping[str, Any]) -> dict[str, Any]:
    text = infer_text(state, "text_encoder.", 0)
    shared = state["vision_proj.weight"].shape[0]
    return {
        "vision_config": infer_vision(state),
        "text_config": text,
        "image_text_hidden_size": shared,
    }


def infer_vision(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of an image encoder whose tensors have these shapes.

    Raises:
        KeyError: a tensor is missing.
    """
    patches = state["vision_model.embeddings.patch_embedding.weight"].shape
    cells = state["vision_model.embeddings.position_embedding"].shape[1] - 1
    return {
        "hidden_size": patches[0],
        "patch_size": patches[-1],
        "image_size": round(cells**0.5) * patches[-1],
        "intermediate_size": state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": count_of(state, r"vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, patches[0] // HEAD_WIDTH),
        "layer_norm_eps": VISION_EPSILON,
    }


def infer_text(state: Mapping[str, Any], prefix: str, crossing: int) -> dict[str, Any]:
    """Return the configuration of a text encoder; `crossing` is the number of a layer with cross-attention.

    Raises:
        KeyError: a tensor is missing.
    """
    words = state[f"{prefix}embeddings.word_embeddings.weight"].shape
    return {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "encoder_hidden_size": state[
            f"{prefix}encoder.layer.{crossing}.crossattention.self.key.weight"
        ].shape[1],
        "intermediate_size": state[f"{prefix}encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state[f"{prefix}embeddings.position_embeddings.weight"].shape[0],
        "num_hidden_layers": count_of(
            state, prefix.replace(".", r"\.") + r"encoder\.layer\.(\d+)\."
        ),
        "num_attention_heads": max(1, words[1] // HEAD_WIDTH),
        "is_decoder": True,
        "bos_token_id": None,
    }
