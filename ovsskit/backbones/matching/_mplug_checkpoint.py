"""What the checkpoints of mPLUG are: the authors' files, and those of ModelScope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from ovsskit._lazy import torch, transformers
from ovsskit.backbones.matching import _parts as parts
from ovsskit.backbones.matching._family import Family
from ovsskit.hub.weights import Published

TEXT_EPSILON = 1e-12
FUSION_LAYERS = 6
"""How many of the fusion module's layers run, the last ones; so in every published model."""
STRIDES = {"large": 6, "base": 3}
"""One in this many fusion layers is connected; no checkpoint says so."""
FUSED = r"fusion_encoder\.encoder\.layer\.(\d+)\."
LICENCE = (
    "Apache-2.0 (code)",
    "of AliceMind, which holds the same code; X-PLUG/mPLUG has no licence file",
)
PARAMETERS = {"large": 427_371_266, "base": 208_920_578}
STORE = "alice-open.oss-cn-zhangjiakou.aliyuncs.com/mPLUG"
MODELSCOPE = "mplug_image-text-retrieval_flickr30k_large_en"


def fusion_kinds(layers: int, stride: int) -> list[Literal["cross", "connected"]]:
    """Return how each fusion layer that runs does so: one in every so many is connected."""
    return ["connected" if index and index % stride == 0 else "cross" for index in range(layers)]


@cache
def network_class() -> Any:
    """Return the network: CLIP's image encoder, text encoder, fusion layers, and matching head."""
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


def configure(state: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Infer the architecture from shapes; heads and the stride, which none shows, as is said."""
    parts.fold_types(state)
    found = (re.match(FUSED, name) for name in state)
    fused = 1 + max((int(one[1]) for one in found if one), default=0)
    layers = min(said.get("fusion_layers", FUSION_LAYERS), fused)
    text = parts.crossing_shape(state, f"fusion_encoder.encoder.layer.{fused - 1}")
    text["num_attention_heads"] = said.get("num_attention_heads", text["num_attention_heads"])
    size = "large" if "visn_fc.weight" in state else "base"
    return {
        "text_config": text,
        # What BlipConfig takes for the width of the image's tokens.
        "vision_config": {"hidden_size": text["encoder_hidden_size"]},
        "clip": parts.clip_shape(state, "visual_encoder."),
        "size": size,
        "stride": said.get("stride_layer", STRIDES[size]),
        "fusion_layers": layers,
        "unused_layers": fused - layers,
    }


MPLUG = Family(
    name="mPLUG",
    fix="Give an original checkpoint of mPLUG with a trained matching head.",
    head="itm_head.",
    marks=(r"fusion_encoder\.",),
    layers=FUSED,
    published_layers=FUSION_LAYERS,
    network=network_class,
    embeddings="visual_encoder.visual.embeddings",
    configure=configure,
    dialects=((("fusion.", ""), ("bert.", "")), parts.CLIP_RENAMES),
    published={
        MODELSCOPE: Published(
            f"the ModelScope hub as damo/{MODELSCOPE}",
            "fine-tuned for retrieval, with vocab.txt; its folder",
            *LICENCE,
            4 * PARAMETERS["large"],
        ),
        **{
            name: Published(
                f"{STORE}/{name}",
                "pre-trained; may lack a trained matching head",
                *LICENCE,
                4 * PARAMETERS[size],
            )
            for name, size in (
                ("mplug_large_v2.pth", "large"),
                ("mplug_large.pth", "large"),
                ("mplug_base.pth", "base"),
            )
        },
    },
)
