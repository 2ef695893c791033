"""Resolve and read a CLIP: open_clip's architectures and tags, hub repositories, folders, files."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ovsskit._lazy import open_clip, torch
from ovsskit.backbones._checkpoint import too_large
from ovsskit.backbones.clip._published import REPOSITORIES
from ovsskit.backbones.clip._text import TOKENIZER
from ovsskit.errors import BadValue, BadWeights, Place, did_you_mean
from ovsskit.files.reading import Unreadable, read_json
from ovsskit.hub.weights import EMBEDDED, HubFiles

CONFIG = "open_clip_config.json"
FOLDER_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
)
"""The hub's repositories often hold more copies of the weights, or of one tower, in other formats.
"""
HUB_FILES = HubFiles(FOLDER_FILES, beside=(CONFIG, *TOKENIZER))
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Blueprint:
    """Hold the file of a model's weights, its open_clip configuration, and its preprocessing."""

    file: Path
    config: dict[str, Any]
    preprocessing: dict[str, Any]


@cache
def architectures() -> list[str]:
    """List open_clip's architectures by its own files, without its import, which takes torch."""
    spec = find_spec("open_clip")
    folders = spec.submodule_search_locations if spec is not None else None
    return sorted(path.stem for one in folders or [] for path in Path(one).glob("*/*.json"))


def tag_settings(model: str, tag: str) -> dict[str, Any]:
    """Return open_clip's settings of an architecture's pretrained tag; empty without it."""
    found: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag) if model else {}
    return found


def hub_repository(model: str, weights: str) -> str:
    """Return where weights come from: a tag's hub repository, or the weights' own name.

    Raises:
        BadValue: the architecture has no such tag, or the tag is not on the hub.
    """
    if known := REPOSITORIES.get((model, weights)):
        return known
    settings = tag_settings(model, weights)
    if not settings:
        is_name = (
            "/" not in weights and weights != EMBEDDED and not Path(weights).expanduser().exists()
        )
        if is_name:
            raise _unknown_tag(model, weights)
        return weights
    if not settings.get("hf_hub"):
        what = f"open_clip offers `{weights}` of {model} by address only: {settings.get('url')}"
        raise BadValue(what, fix="Download the file and give its path as `weights`.")
    return (
        str(settings["hf_hub"]).rstrip("/")
        if settings["hf_hub"].endswith("/")
        else str(Path(settings["hf_hub"]).parent)
    )


def _unknown_tag(model: str, weights: str) -> BadValue:
    if not model:
        models = open_clip.pretrained.list_pretrained_models_by_tag(weights)
        there = (
            f"It is a tag of {', '.join(models[:8])}."
            if models
            else "It is not a tag of open_clip either."
        )
        fix = (
            'Say which architecture: model = "ViT-B-16".'
            if models
            else "Give a hub id, a path, or `embedded`."
        )
        return BadValue(
            f"backbone.weights is `{weights}`: no file or folder here, and no hub id.",
            there=there,
            fix=fix,
        )
    tags = open_clip.pretrained.list_pretrained_tags_by_model(model)
    what = (
        f"backbone.weights is `{weights}`: no file or folder here, no hub id, and no tag of "
        f"{model}."
    )
    return BadValue(
        what, there=f"Its tags are: {', '.join(tags) or 'none'}", fix=did_you_mean(weights, tags)
    )


def read_blueprint(path: Path, model: str, weights: str) -> Blueprint:
    """Return what is known of a model before its weights are read.

    The configuration is that of `model`, with the activation of the tag, if a model is named; else
    the one that lies with the weights.

    Raises:
        BadWeights: there is no configuration or no file of weights, or it cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    stored = _read_config(folder / CONFIG)
    file = (
        path
        if path.is_file()
        else next((folder / name for name in FOLDER_FILES if (folder / name).is_file()), None)
    )
    if file is None:
        raise BadWeights(
            f"The folder holds none of {', '.join(FOLDER_FILES)}.", where=Place(str(folder))
        )
    if model:
        settings = tag_settings(model, weights)
        config = open_clip.get_model_config(model)
        config = {**config, "quick_gelu": bool(settings.get("quick_gelu"))} if settings else config
        preprocessing = settings or stored.get("preprocess_cfg", {})
    elif "model_cfg" in stored:
        config, preprocessing = stored["model_cfg"], stored.get("preprocess_cfg", {})
    else:
        what = f"Nothing says which architecture these weights are for: there is no {CONFIG}."
        raise BadWeights(
            what,
            fix='Name it: model = "ViT-B-16" (or "ViT-B-16-quickgelu").',
            where=Place(str(folder)),
        )
    return Blueprint(
        file, config, {name: preprocessing[name] for name in PREPROCESSING if name in preprocessing}
    )


class Preprocessing(BaseModel, extra="allow"):
    """Give the shape of what a configuration says of images, as far as it is read here."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: str = ""
    resize_mode: str = ""


class Architecture(BaseModel, extra="allow"):
    """Give the shape of what a configuration says of the network."""

    vision_cfg: dict[str, Any]
    text_cfg: dict[str, Any]


class Configuration(BaseModel):
    """Give the shape of open_clip's configuration beside weights."""

    model_cfg: Architecture | None = None
    preprocess_cfg: Preprocessing = Preprocessing()


def _read_config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found: Configuration = read_json(file, Configuration)
    except Unreadable as error:
        raise BadWeights(
            f"The model's configuration cannot be read: {error}.", where=Place(str(file))
        ) from error
    config = found.model_dump(exclude_unset=True)
    if large := too_large(config):
        raise BadWeights(f"The model's configuration has {large}.", where=Place(str(file)))
    return config


def _lower(network: Any, dtype: Any, *, with_norms: bool) -> None:
    """Convert a network to half precision; of timm's image encoders the layer norms, too.

    open_clip's own conversion knows projections of texts that are matrices, not those that are
    layers, as SigLIP's.
    """
    layers = [
        (module, module.text_projection)
        for module in network.modules()
        if isinstance(getattr(module, "text_projection", None), torch.nn.Linear)
    ]
    for module, _ in layers:
        module.text_projection = None
    open_clip.convert_weights_to_lp(network, dtype=dtype)
    for module, layer in layers:
        module.text_projection = layer.to(dtype)
    if with_norms:
        network.visual.to(dtype)


def build_network(config: Mapping[str, Any], precision: str, *, device: str = "cpu") -> Any:
    """Return a network without weights: its memory is reserved, and nothing is computed to fill it.

    In half precision only convolutions, linear layers and projections are; layer norms compute in
    single precision.

    Raises:
        BadWeights: the configuration is none of open_clip's.
    """
    from copy import deepcopy

    parts = deepcopy(dict(config))
    vision, text = parts.get("vision_cfg", {}), parts.get("text_cfg", {})
    is_custom = parts.pop("custom_text", False) or "hf_model_name" in text
    # What other libraries build is filled with more than weights, and is not left empty.
    is_foreign = "timm_model_name" in vision or "hf_model_name" in text
    vision |= {"timm_model_pretrained": False} if "timm_model_name" in vision else {}
    text |= {"hf_model_pretrained": False} if "hf_model_name" in text else {}
    try:
        with torch.device("cpu" if is_foreign else "meta"):
            make = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
            network = make(**parts, cast_dtype=open_clip.get_cast_dtype(precision))
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BadWeights(
            f"The configuration describes no CLIP that open_clip can build: {error}"
        ) from error
    if precision != "fp32":
        _lower(network, open_clip.get_cast_dtype(precision), with_norms="timm_model_name" in vision)
    if not is_foreign and device != "meta":
        network.to_empty(device=device)
        for module in network.modules():
            mask = module._buffers.get("attn_mask")
            if mask is not None:  # the one buffer that is not stored with the weights
                mask.fill_(-torch.inf).triu_(1)
    return network


def fill_network(network: Any, file: Path) -> None:
    """Read a file of weights into a network; on the meta device only refuse what does not fit.

    Raises:
        BadWeights: the file is broken, holds code, or belongs to another architecture.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*TorchScript archive"
            )  # an error follows, and is told below
            warnings.filterwarnings(
                "ignore", message=".*meta parameter"
            )  # then only names and shapes are compared
            open_clip.load_checkpoint(network, str(file), strict=True, weights_only=True)
    except pickle.UnpicklingError as error:
        what = "The file is broken, or holds more than tensors, and is not read."
        raise BadWeights(what, fix="Give safetensors.", where=Place(str(file))) from error
    except Exception as error:  # in broken files torch stumbles over whatever there is
        reason = " ".join(str(error).split())[:300]
        if "TorchScript" in reason:
            what = "The file is a TorchScript archive, which holds code and is not read."
            fix = 'OpenAI\'s weights are on the hub without code: weights = "openai".'
            raise BadWeights(what, fix=fix, where=Place(str(file))) from error
        what = "These are not weights of this architecture, or the file is broken."
        raise BadWeights(what, there=reason, where=Place(str(file))) from error
