"""Read ALBEF's image-text matching network from an original checkpoint: pre-trained, fine-tuned, or fine-tuned in LAVIS."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ovsskit._lazy import transformers
from ovsskit.backbones._checkpoint import (
    Family,
    check_fit,
    file_of,
    fill,
    read_official,
    read_sizes,
    rename,
    rename_back,
)
from ovsskit.backbones.matching._blip_checkpoint import VISION_RENAMES, infer_text, infer_vision

UNUSED = re.compile(
    r"_m(\.|$)|queue|(^|\.)cls\.|^temp$|^(vision|text)_proj\.|position_ids$|^text_encoder\.pooler\."
)
"""Momentum copies, queues, the masked-language head, and what the contrastive loss alone needs."""
CROSSING = re.compile(r"text_encoder\.encoder\.layer\.(\d+)\.crossattention\.")
TYPES = "text_encoder.embeddings.token_type_embeddings.weight"
POSITIONS = "text_encoder.embeddings.position_embeddings.weight"


def official_name(name: str) -> str:
    """Return the name in a fine-tuned checkpoint of a tensor, also of a pre-trained one; empty if matching does not need it."""
    name = name.replace("bert.", "")
    return "" if UNUSED.search(name) else name


def name_in_file(name: str, stored: Collection[str]) -> str:
    """Return the name of a tensor of the network in a file with such names: fine-tuned, or pre-trained."""
    name = rename_back(name, VISION_RENAMES)
    is_pretrained = any(one.startswith("text_encoder.bert.") for one in stored)
    return name.replace("text_encoder.", "text_encoder.bert.") if is_pretrained else name


ALBEF = Family(
    "ALBEF",
    "itm_head.",
    "Give an original checkpoint of ALBEF, such as mscoco.pth, fine-tuned for retrieval.",
    official_name,
    name_in_file,
)


def read_network(path: Path, dtype: Any) -> Any:
    """Return the network of a checkpoint or its folder; its configuration says where fusion starts, and of token types.

    Raises:
        BadWeights: the file is missing or broken, or belongs to another architecture.
    """
    config, state = _read(path, dtype, shapes_only=False)
    check_fit(ALBEF, path, network_class(), config, state)
    return fill(network_class(), config, state, dtype)


def check_network(path: Path) -> int:
    """Refuse weights that do not fit, by the names and shapes of their tensors; return the rows of word embeddings.

    Raises:
        BadWeights: they do not fit.
    """
    config, state = _read(path, None, shapes_only=True)
    check_fit(ALBEF, path, network_class(), config, state)
    return int(config.text_config.vocab_size)


@cache
def network_class() -> Any:
    """Return BLIP's class of network without what ALBEF lacks: cross-attention in the first text layers, and projections."""

    class Albef(transformers.BlipForImageTextRetrieval):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            for layer in self.text_encoder.encoder.layer[: config.fusion_layer]:
                del layer.crossattention
            del self.vision_proj, self.text_proj

    return Albef


def _read(path: Path, dtype: Any, *, shapes_only: bool) -> tuple[Any, dict[str, Any]]:
    file = file_of(path, ALBEF)
    state = read_official(path, ALBEF, dtype, shapes_only=shapes_only)
    state = {rename(name, VISION_RENAMES): tensor for name, tensor in state.items()}
    has_types = TYPES in state
    try:
        if (
            has_types
        ):  # a caption has one sentence, of type 0, so that the type can be part of every position
            state[POSITIONS] = state[POSITIONS] + state.pop(TYPES)[:1]
        config = _infer_config(state, read_sizes(file))
    except KeyError as error:
        raise ALBEF.lacks(path, error.args) from error
    return transformers.BlipConfig.from_dict({**config, "has_token_types": has_types}), state


def _infer_config(state: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Infer the architecture from shapes; heads, which no shape shows, from a configuration beside the checkpoint."""
    fusion = min((int(found[1]) for name in state if (found := CROSSING.match(name))), default=0)
    vision, text = infer_vision(state), infer_text(state, "text_encoder.", fusion)
    vision["num_attention_heads"] = sizes.get("vision_num_heads", vision["num_attention_heads"])
    text["num_attention_heads"] = sizes.get("num_attention_heads", text["num_attention_heads"])
    return {"vision_config": vision, "text_config": text, "fusion_layer": fusion}
