"""Read mPLUG's image-text matching network from an original checkpoint, of the authors or of ModelScope."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ovsskit._lazy import torch, transformers
from ovsskit.backbones._checkpoint import (
    Family,
    check_fit,
    count_of,
    file_of,
    fill,
    read_official,
    read_sizes,
    rename,
    rename_back,
    stored_names,
)
from ovsskit.backbones.matching._blip_checkpoint import infer_text
from ovsskit.backbones.matching._clip_tower import RENAMES as CLIP_RENAMES

TEXT_EPSILON = 1e-12
FUSION_LAYERS = 6
"""How many of the fusion module's layers run, the last ones; so in every published model."""
STRIDES = {"large": 6, "base": 3}
"""Every so many fusion layers one is connected; no checkpoint says it."""
FUSED = r"fusion_encoder\.encoder\.layer\.(\d+)\."
UNUSED = re.compile(
    r"_m(\.|$)|queue|(^|\.)cls\.|^temp$|^(vision|text)_proj\.|^text_decoder\.|^fusion_encoder\.embeddings\.|position_ids$"
    r"|\.pooler\.|^visual_encoder\.(?!visual\.)|^visual_encoder\.visual\.proj$"
)
"""Momentum copies, queues, other heads, the decoder, and what of CLIP does not see images."""


def official_name(name: str) -> str:
    """Return the name of a tensor without what some checkpoints add to it; empty if matching does not need it."""
    name = name.removeprefix("model.")
    if ("fusion" in name or "bert" in name) and "decode" not in name:
        name = name.replace("fusion.", "").replace("bert.", "")
    return "" if UNUSED.search(name) else name


def name_in_file(name: str, stored: Collection[str]) -> str:
    """Return the name of a tensor of the network in an original checkpoint; some have additions that tell nothing."""
    return rename_back(name, CLIP_RENAMES)


MPLUG = Family(
    "mPLUG",
    "itm_head.",
    "Give an original checkpoint of mPLUG with a trained matching head.",
    official_name,
    name_in_file,
)


def read_network(path: Path, dtype: Any, stride: int | None) -> Any:
    """Return the network of a checkpoint or its folder; without a stride, that of the published model of this size.

    Raises:
        BadWeights: the file is missing or broken, or belongs to another architecture.
    """
    config, state = _read(path, dtype, stride, shapes_only=False)
    check_fit(MPLUG, path, network_class(), config, state)
    return fill(network_class(), config, state, dtype)


def check_network(path: Path) -> int:
    """Refuse weights that do not fit, by the names and shapes of their tensors; return the rows of word embeddings.

    Raises:
        BadWeights: they do not fit.
    """
    config, state = _read(path, None, None, shapes_only=True)
    check_fit(MPLUG, path, network_class(), config, state)
    return int(config.text_config.vocab_size)


def fusion_kinds(layers: int, stride: int) -> list[Literal["cross", "connected"]]:
    """Return how each of the fusion layers that run does so: a connected one follows every so many others."""
    return ["connected" if index and index % stride == 0 else "cross" for index in range(layers)]


def count_layers(path: Path, stride: int | None) -> int | None:
    """Return the number of layers with cross-attention; None where only reading the weights would tell.

    What is not here is taken for a published model: the base one if its name says so, else the large one.
    """
    names = [official_name(name) for name in stored_names(path)]
    if (names and not count_of(names, FUSED)) or (not names and path.exists() and stride is None):
        return None
    sizes = read_sizes(path / "weights" if path.is_dir() else path)
    is_base = "visn_fc.weight" not in names if names else "base" in path.name
    layers = min(
        sizes.get("fusion_layers", FUSION_LAYERS),
        count_of(names, FUSED) if names else FUSION_LAYERS,
    )
    stride = stride or sizes.get("stride_layer", STRIDES["base" if is_base else "large"])
    return fusion_kinds(layers, stride).count("cross")


@cache
def network_class() -> Any:
    """Return the network: CLIP's image encoder, a text encoder without and fusion layers with cross-attention, and a head."""
    from transformers.models.blip.modeling_blip_text import BlipTextLayer, BlipTextModel
    from transformers.models.bridgetower.modeling_bridgetower import BridgeTowerVisionModel

    class Mplug(transformers.BlipPreTrainedModel):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            text = config.text_config
            self.visual_encoder = BridgeTowerVisionModel(
                transformers.BridgeTowerVisionConfig(**config.clip)
            )
            self.visn_fc: torch.nn.Module = torch.nn.Identity()
            self.visn_layer_norm: torch.nn.Module = torch.nn.Identity()
            if config.size == "large":
                self.visn_fc = torch.nn.Linear(config.clip["hidden_size"], text.hidden_size)
                self.visn_layer_norm = torch.nn.LayerNorm(text.hidden_size, eps=TEXT_EPSILON)
            plain = transformers.BlipTextConfig.from_dict({**text.to_dict(), "is_decoder": False})
            self.text_encoder = BlipTextModel(plain, add_pooling_layer=False)
            layers = {
                str(config.unused_layers + index): BlipTextLayer(text, index)
                for index in range(config.fusion_layers)
            }
            encoder = torch.nn.ModuleDict({"layer": torch.nn.ModuleDict(layers)})
            self.fusion_encoder = torch.nn.ModuleDict({"encoder": encoder})
            self.itm_head = torch.nn.Linear(text.hidden_size, 2)
            self.post_init()

    return Mplug


def _read(
    path: Path, dtype: Any, stride: int | None, *, shapes_only: bool
) -> tuple[Any, dict[str, Any]]:
    file = file_of(path, MPLUG)
    state = read_official(path, MPLUG, dtype, shapes_only=shapes_only)
    try:
        config = _infer_config(state, read_sizes(file), stride)
        return config, {
            new: tensor for name, tensor in state.items() if (new := _own_name(name, config))
        }
    except KeyError as error:
        raise MPLUG.lacks(path, error.args) from error


def _own_name(name: str, config: Any) -> str:
    """Return the name of a tensor in the network; empty for fusion layers that never run."""
    if (found := re.match(FUSED, name)) and int(found[1]) < config.unused_layers:
        return ""
    if name.startswith("visual_encoder."):
        return "visual_encoder." + rename(name.removeprefix("visual_encoder."), CLIP_RENAMES)
    if name == "text_encoder.embeddings.token_type_embeddings.weight":
        return ""
    return name


def _infer_config(state: dict[str, Any], sizes: Mapping[str, Any], stride: int | None) -> Any:
    """Infer the architecture from shapes; heads and the stride, which none shows, from a configuration beside, if any.

    The token type, always the first, becomes part of the position embeddings.
    """
    positions, types = (
        f"text_encoder.embeddings.{kind}_embeddings.weight" for kind in ("position", "token_type")
    )
    state[positions] = state[positions] + state[types][:1]
    fused = 1 + max(
        (int(found[1]) for name in state if (found := re.match(FUSED, name))), default=0
    )
    layers = min(sizes.get("fusion_layers", FUSION_LAYERS), fused)
    crossing = state[f"fusion_encoder.encoder.layer.{fused - 1}.crossattention.self.key.weight"]
    text = infer_text(
        {**state, "text_encoder.encoder.layer.0.crossattention.self.key.weight": crossing},
        "text_encoder.",
        0,
    )
    text["num_attention_heads"] = sizes.get("num_attention_heads", text["num_attention_heads"])
    patches = state["visual_encoder.visual.conv1.weight"].shape
    size = "large" if "visn_fc.weight" in state else "base"
    clip = {
        "hidden_size": patches[0],
        "patch_size": patches[-1],
        "image_size": round(
            (state["visual_encoder.visual.positional_embedding"].shape[0] - 1) ** 0.5
        )
        * patches[-1],
        "num_hidden_layers": count_of(
            state, r"visual_encoder\.visual\.transformer\.resblocks\.(\d+)\."
        ),
    }
    facts = {"size": size, "fusion_layers": layers, "unused_layers": fused - layers, "clip": clip}
    stride = stride or sizes.get("stride_layer", STRIDES[size])
    width = {
        "hidden_size": text["encoder_hidden_size"]
    }  # what BlipConfig takes for the width of the image's tokens
    return transformers.BlipConfig.from_dict(
        {"text_config": text, "vision_config": width, "stride": stride, **facts}
    )
