"""What the checkpoints of ALBEF are: pre-trained, fine-tuned, or fine-tuned in LAVIS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from ovsskit._lazy import transformers
from ovsskit.backbones.matching import _parts as parts
from ovsskit.backbones.matching._family import Family
from ovsskit.hub.weights import Published

PARAMETERS = 209_165_570
LICENCE = (
    "BSD-3-Clause (code)",
    "of both repositories; no statement for the weights was found",
)
AUTHORS = "storage.googleapis.com/sfr-pcl-data-research/ALBEF"
LAVIS = "storage.googleapis.com/sfr-vision-language-research/LAVIS/models/ALBEF"


@cache
def network_class() -> Any:
    """Return BLIP's network without what ALBEF lacks: fusion in the first layers, projections."""

    class Albef(transformers.BlipForImageTextRetrieval):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            for layer in self.text_encoder.encoder.layer[: config.fusion_layer]:
                del layer.crossattention
            del self.vision_proj, self.text_proj

    return Albef


def configure(state: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Infer the architecture from shapes; heads, which none shows, from what is said."""
    has_types = parts.TYPES in state
    if has_types:
        parts.fold_types(state)
    crossing = (re.match(parts.CROSSING, name) for name in state)
    fusion = min((int(found[1]) for found in crossing if found), default=0)
    vision = parts.blip_shape(state)
    text = parts.crossing_shape(state, f"text_encoder.encoder.layer.{fusion}")
    vision["num_attention_heads"] = said.get("vision_num_heads", vision["num_attention_heads"])
    text["num_attention_heads"] = said.get("num_attention_heads", text["num_attention_heads"])
    return {
        "vision_config": vision,
        "text_config": text,
        "fusion_layer": fusion,
        "has_token_types": has_types,
    }


ALBEF = Family(
    name="ALBEF",
    fix="Give an original checkpoint of ALBEF, such as mscoco.pth, fine-tuned for retrieval.",
    head="itm_head.",
    marks=parts.BLIP_MARKS,
    no_marks=(r"\.layer\.0\.crossattention\.",),
    layers=parts.CROSSING,
    published_layers=6,
    network=network_class,
    embeddings=parts.BLIP_EMBEDDINGS,
    configure=configure,
    dialects=((("text_encoder.bert.", "text_encoder."),), parts.BLIP_RENAMES),
    published={
        name: Published(f"{store}/{name}", holds, *LICENCE, 4 * PARAMETERS)
        for store, name, holds in (
            (AUTHORS, "mscoco.pth", "fine-tuned for retrieval, 384 pixels"),
            (AUTHORS, "flickr30k.pth", "fine-tuned for retrieval, 384 pixels"),
            (AUTHORS, "refcoco.pth", "fine-tuned for grounding, 384 pixels"),
            (AUTHORS, "ALBEF.pth", "pre-trained on 14 million images, 256 pixels"),
            (AUTHORS, "ALBEF_4M.pth", "pre-trained on 4 million images, 256 pixels"),
            (
                LAVIS,
                "albef_coco_retrieval_lavis.pt",
                "fine-tuned for retrieval by LAVIS, 384 pixels",
            ),
            (
                LAVIS,
                "albef_flickr_retrieval_lavis.pt",
                "fine-tuned for retrieval by LAVIS, 384 pixels",
            ),
        )
    },
)
