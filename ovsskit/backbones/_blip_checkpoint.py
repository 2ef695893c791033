"""Read BLIP's image-text matching network from a Hugging Face folder, or from an original checkpoint of LAVIS."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ovsskit.errors import BadWeights, Place
from ovsskit.lazy import torch, transformers

FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
HEAD_WIDTH = 64
"""Width of an attention head in every published BLIP; an original checkpoint does not say it."""
VISION_EPSILON = 1e-6
"""Of the image encoder's layer norms: so trained, though configurations of converted models say 1e-5."""
RENAMES = (
    (r"^visual_encoder\.", "vision_model."),
    (r"^vision_model\.cls_token$", "vision_model.embeddings.class_embedding"),
    (r"^vision_model\.pos_embed$", "vision_model.embeddings.position_embedding"),
    (r"^vision_model\.patch_embed\.proj\.", "vision_model.embeddings.patch_embedding."),
    (r"^vision_model\.norm\.", "vision_model.post_layernorm."),
    (r"^vision_model\.blocks\.", "vision_model.encoder.layers."),
    (r"\.attn\.qkv\.", ".self_attn.qkv."),
    (r"\.attn\.proj\.", ".self_attn.projection."),
    (r"\.norm([12])\.", r".layer_norm\1."),
)
"""From the names of LAVIS to those of transformers; the text encoder's are the same in both."""


def read_network(path: Path, dtype: Any) -> Any:
    """Return the network of a folder, or of an original checkpoint (a `.pth` or `.pt` file), in a number format.

    Raises:
        BadWeights: a file is missing or broken, or belongs to another architecture.
    """
    config, state, is_named = _read_folder(path, dtype) if path.is_dir() else _read_original(path)
    with _quiet():
        network, report = transformers.BlipForImageTextRetrieval.from_pretrained(
            None,
            config=transformers.BlipConfig.from_dict(config),
            state_dict=state,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    wrong = sorted({*report["missing_keys"], *(str(one[0]) for one in report["mismatched_keys"])})
    if wrong:
        listed = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise _unfit(path, f"These are no weights of BLIP image-text matching: they lack {listed}.", is_named)
    return network


def _read_folder(folder: Path, dtype: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unfit(folder / "config.json", f"The model's configuration cannot be read: {error}.") from error
    named = f"Its config.json says: {', '.join(config.get('architectures') or ())} (model_type {config.get('model_type')})."
    if config.get("model_type") != "blip":
        raise _unfit(folder, "These are the weights of another architecture than BLIP.", named)
    # A configuration that leaves the heads out means BERT's 12, not the default of BlipTextConfig.
    config["text_config"] = {"num_attention_heads": 12, **config["text_config"]}
    config["vision_config"] = {**config["vision_config"], "layer_norm_eps": VISION_EPSILON}
    file = next((folder / name for name in FOLDER_FILES if (folder / name).is_file()), None)
    if file is None:
        raise _unfit(folder, f"The folder holds none of {', '.join(FOLDER_FILES)}.")
    return config, _read_tensors(file, dtype), named


def _read_original(file: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Read a checkpoint of LAVIS and infer the architecture from the shapes."""
    state = _read_tensors(file)
    try:
        state = {_rename(key): value for key, value in state.get("model", state).items()}
        return _infer_config(state), state, ""
    except (KeyError, AttributeError) as error:
        raise _unfit(file, f"This is no original checkpoint of BLIP image-text matching: it lacks {error}.") from error


def _read_tensors(file: Path, dtype: Any = None) -> dict[str, Any]:
    """Read a file of tensors; those of safetensors are converted one by one, so that memory holds them once."""
    from safetensors import SafetensorError, safe_open

    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                tensors: Any = {key: _converted(opened.get_tensor(key), dtype) for key in opened.keys()}  # noqa: SIM118
        else:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _unfit(file, f"The file of weights is broken or incomplete: {reason}") from error
    if not isinstance(tensors, dict):
        raise _unfit(file, f"The file holds a {type(tensors).__name__}, not the tensors of a model by name.")
    return tensors


def _converted(tensor: Any, dtype: Any) -> Any:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _infer_config(state: Mapping[str, Any]) -> dict[str, Any]:
    patches = state["vision_model.embeddings.patch_embedding.weight"].shape
    cells = state["vision_model.embeddings.position_embedding"].shape[1] - 1
    words = state["text_encoder.embeddings.word_embeddings.weight"].shape
    vision = {
        "hidden_size": patches[0],
        "patch_size": patches[-1],
        "image_size": round(cells**0.5) * patches[-1],
        "intermediate_size": state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": _count(state, r"vision_model\.encoder\.layers\.(\d+)\."),
        "num_attention_heads": patches[0] // HEAD_WIDTH,
        "layer_norm_eps": VISION_EPSILON,
    }
    text = {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "encoder_hidden_size": state["text_encoder.encoder.layer.0.crossattention.self.key.weight"].shape[1],
        "intermediate_size": state["text_encoder.encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state["text_encoder.embeddings.position_embeddings.weight"].shape[0],
        "num_hidden_layers": _count(state, r"text_encoder\.encoder\.layer\.(\d+)\."),
        "num_attention_heads": words[1] // HEAD_WIDTH,
        "is_decoder": True,
    }
    shared = state["vision_proj.weight"].shape[0]
    return {"vision_config": vision, "text_config": text, "image_text_hidden_size": shared}


def _rename(key: str) -> str:
    for old, new in RENAMES:
        key = re.sub(old, new, key) if not key.startswith("text_encoder.") else key
    return key


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return len({found[1] for key in state if (found := re.match(pattern, key))})


def _unfit(path: Path, what: str, there: str = "") -> BadWeights:
    fix = "Give a BLIP image-text matching model, such as Salesforce/blip-itm-large-flickr."
    return BadWeights(what, there=there, fix=fix, where=Place(str(path)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from reporting what is reported here."""
    chatter = transformers.utils.logging
    verbosity, has_bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if has_bars:
            chatter.enable_progress_bar()
