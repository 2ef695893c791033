"""Names and shapes of parts that several models have: BERT's layers, BLIP's ViT, and CLIP's.

Each shape is a configuration as transformers takes it. All raise KeyError if a tensor is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsskit.backbones._checkpoint import count_of

HEAD_WIDTH = 64
"""Width of an attention head in every published model; an original checkpoint does not say it."""
TEXT = "text_encoder."
CROSSING = r"text_encoder\.encoder\.layer\.(\d+)\.crossattention\."
"""The names of tensors in a layer with cross-attention, of BLIP and ALBEF."""
TYPES = f"{TEXT}embeddings.token_type_embeddings.weight"
POSITIONS = f"{TEXT}embeddings.position_embeddings.weight"

BLIP_EPSILON = 1e-6
"""Of the ViT's layer norms: so trained, though configurations of converted models say 1e-5."""
BLIP_EMBEDDINGS = "vision_model.embeddings"
BLIP_RENAMES = (
    ("^visual_encoder.", "^vision_model."),
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
BLIP_MARKS = (r"^(visual_encoder\.blocks|vision_model\.encoder)\.", r"crossattention\.")

CLIP_RENAMES = (
    ("visual.class_embedding", "visual.embeddings.class_embedding"),
    ("visual.conv1.", "visual.embeddings.patch_embedding."),
    ("visual.positional_embedding", "visual.embeddings.position_embedding.weight"),
)
"""From CLIP's names to those of `BridgeTowerVisionModel`; the others are equal."""


def bert_shape(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the configuration of a text encoder whose names begin so."""
    words = state[f"{prefix}embeddings.word_embeddings.weight"].shape
    return {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "intermediate_size": state[f"{prefix}encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state[f"{prefix}embeddings.position_embeddings.weight"].shape[0],
        "num_hidden_layers": count_of(state, rf"{prefix}encoder\.layer\.(\d+)\."),
        "num_attention_heads": max(1, words[1] // HEAD_WIDTH),
    }


def crossing_shape(state: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """Return the configuration of BLIP's text encoder; a layer with cross-attention is named."""
    keys = state[f"{layer}.crossattention.self.key.weight"].shape
    more = {"encoder_hidden_size": keys[1], "is_decoder": True, "bos_token_id": None}
    return {**bert_shape(state, TEXT), **more}


def fold_types(state: dict[str, Any]) -> None:
    """Make the token type, which is always the first, part of every position."""
    state[POSITIONS] = state[POSITIONS] + state.pop(TYPES)[:1]


def blip_shape(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of BLIP's ViT."""
    vision = _vit_shape(
        state[f"{BLIP_EMBEDDINGS}.patch_embedding.weight"],
        state[f"{BLIP_EMBEDDINGS}.position_embedding"][0],
    )
    return {
        **vision,
        "intermediate_size": state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": count_of(state, r"vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": max(1, vision["hidden_size"] // HEAD_WIDTH),
        "layer_norm_eps": BLIP_EPSILON,
    }


def clip_shape(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the configuration of CLIP's ViT whose names begin so."""
    vision = _vit_shape(
        state[f"{prefix}visual.embeddings.patch_embedding.weight"],
        state[f"{prefix}visual.embeddings.position_embedding.weight"],
    )
    layers = rf"{prefix}visual\.transformer\.resblocks\.(\d+)\."
    return {**vision, "num_hidden_layers": count_of(state, layers)}


def _vit_shape(patches: Any, positions: Any) -> dict[str, Any]:
    width, patch = patches.shape[0], patches.shape[-1]
    side = round((positions.shape[0] - 1) ** 0.5)
    return {"hidden_size": width, "patch_size": patch, "image_size": side * patch}
