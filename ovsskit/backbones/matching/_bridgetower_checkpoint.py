"""Read BridgeTower's image-text matching network from a Hugging Face folder, or from an original checkpoint."""

from __future__ import annotations

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
from ovsskit.backbones.matching._clip_tower import RENAMES as CLIP_RENAMES

HEAD_WIDTH = 64
"""Width of an attention head in both published sizes; an original checkpoint does not say it."""
TOWERS = (
    ("vit_model.", "bridgetower.vision_model."),
    ("text_transformer.", "bridgetower.text_model."),
)


def hub_name(name: str) -> str:
    """Return the name in transformers of a tensor, also of an original checkpoint; empty if matching does not need it."""
    if name.startswith(("mlm_score.", "itc_", "temperature", "logit_scale")) or name.endswith(
        "position_ids"
    ):
        return ""
    if name.startswith(("bridgetower.", "itm_score.")):
        return name
    for own, theirs in TOWERS:
        if name.startswith(own):
            return theirs + rename(name.removeprefix(own), CLIP_RENAMES)
    return f"bridgetower.{name}"


def name_in_file(name: str, stored: Collection[str]) -> str:
    """Return the name of a tensor of the network in a file with such names: of the authors, or of transformers."""
    if not any(one.startswith(own) for one in stored for own, _ in TOWERS):
        return name
    for own, theirs in TOWERS:
        if name.startswith(theirs):
            return own + rename_back(name.removeprefix(theirs), CLIP_RENAMES)
    return name.removeprefix("bridgetower.")


BRIDGETOWER = Family(
    "BridgeTower",
    "itm_score.",
    "Give BridgeTower with its matching head: BridgeTower/bridgetower-large-itm-mlm.",
    hub_name,
    name_in_file,
)


def read_network(path: Path, dtype: Any) -> Any:
    """Return the network of a folder, or of an original checkpoint, in a number format.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    config, state, there = _read(path, dtype, shapes_only=False)
    check_fit(
        BRIDGETOWER, path, transformers.BridgeTowerForImageAndTextRetrieval, config, state, there
    )
    return fill(transformers.BridgeTowerForImageAndTextRetrieval, config, state, dtype)


def check_network(path: Path) -> int:
    """Refuse weights that do not fit, by the names and shapes of their tensors; return the rows of word embeddings.

    Raises:
        BadWeights: they do not fit.
    """
    config, state, there = _read(path, None, shapes_only=True)
    check_fit(
        BRIDGETOWER, path, transformers.BridgeTowerForImageAndTextRetrieval, config, state, there
    )
    return int(config.text_config.vocab_size)


def _read(path: Path, dtype: Any, *, shapes_only: bool) -> tuple[Any, dict[str, Any], str]:
    """Return configuration, tensors by the names of transformers, and what the configuration says it is."""
    there = ""
    if path.is_dir():
        config = read_json(path / "config.json", BRIDGETOWER)
        there = f"Its config.json says: {', '.join(config.get('architectures') or ['no class'])} (model_type {config['model_type']})."
        if config.get("model_type") != "bridgetower":
            raise BRIDGETOWER.unfit(
                path, "These are the weights of another architecture than BridgeTower.", there
            )
    state = read_official(path, BRIDGETOWER, dtype, shapes_only=shapes_only)
    if not path.is_dir():
        try:
            config = _infer_config(state)
        except KeyError as error:
            raise BRIDGETOWER.lacks(path, error.args) from error
    return make_config(transformers.BridgeTowerConfig, config, BRIDGETOWER, path), state, there


def _infer_config(state: Mapping[str, Any]) -> dict[str, Any]:
    own, visual, text = (
        "bridgetower.",
        "bridgetower.vision_model.visual.",
        "bridgetower.text_model.",
    )
    patches = state[f"{visual}embeddings.patch_embedding.weight"].shape
    cells = state[f"{visual}embeddings.position_embedding.weight"].shape[0] - 1
    words = state[f"{text}embeddings.word_embeddings.weight"].shape
    width = state[f"{own}cross_modal_text_transform.weight"].shape[0]
    return {
        "hidden_size": width,
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "num_hidden_layers": count_of(state, r"bridgetower\.cross_modal_text_layers\.(\d+)\."),
        "vision_config": {
            "hidden_size": patches[0],
            "patch_size": patches[-1],
            "image_size": round(cells**0.5) * patches[-1],
            "num_hidden_layers": count_of(
                state, r"bridgetower\.vision_model\.visual\.transformer\.resblocks\.(\d+)\."
            ),
        },
        "text_config": {
            "vocab_size": words[0],
            "hidden_size": words[1],
            "num_attention_heads": max(1, words[1] // HEAD_WIDTH),
            "num_hidden_layers": count_of(
                state, r"bridgetower\.text_model\.encoder\.layer\.(\d+)\."
            ),
            "intermediate_size": state[f"{text}encoder.layer.0.intermediate.dense.weight"].shape[0],
            "max_position_embeddings": state[f"{text}embeddings.position_embeddings.weight"].shape[
                0
            ],
            "type_vocab_size": state[f"{text}embeddings.token_type_embeddings.weight"].shape[0],
        },
    }
